package grant

import (
	"context"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
)

// simulation decides by the rule files as a view reads them, some of which may be replaced or moved in thought. It belongs to
// one goroutine.
type simulation struct {
	sets  func(owner perm.User, dir string) ([]perm.Ruleset, error)
	index *perm.Index
}

func simulate(sets func(owner perm.User, dir string) ([]perm.Ruleset, error)) *simulation {
	return &simulation{sets: sets, index: perm.NewIndex(sets)}
}

// asStored decides by what is there, each folder read once.
func asStored(ctx context.Context, view *guard.View) *simulation {
	type key struct {
		owner perm.User
		dir   string
	}
	read := rulefile.Loader(viewFS{ctx, view})
	seen := map[key][]perm.Ruleset{}
	return simulate(func(owner perm.User, dir string) ([]perm.Ruleset, error) {
		sets, ok := seen[key{owner, dir}]
		if ok {
			return sets, nil
		}
		sets, err := read(owner, dir)
		if err == nil {
			seen[key{owner, dir}] = sets
		}
		return sets, err
	})
}

// with is the same with another text of one rule file; nil means that it is not there.
func (s *simulation) with(file datasite.Path, text []byte) *simulation {
	var now []perm.Ruleset
	if text != nil {
		rs, _, _ := rulefile.Parse("/"+file.String(), text) // an error is in rs.Broken
		now = []perm.Ruleset{rs}
	}
	return simulate(func(owner perm.User, dir string) ([]perm.Ruleset, error) {
		sets, err := s.sets(owner, dir)
		if err != nil || owner != file.Owner || dir != file.Parent().Rel {
			return sets, err
		}
		out := now[:len(now):len(now)]
		for _, rs := range sets {
			if rs.Kind.String() != file.Base() {
				out = append(out, rs)
			}
		}
		return out, nil
	})
}

// moved is the same after what lies at from was moved to to, where nothing is.
func (s *simulation) moved(from, to datasite.Path) *simulation {
	return simulate(func(owner perm.User, dir string) ([]perm.Ruleset, error) {
		at := datasite.Path{Owner: owner, Rel: dir}
		switch {
		case at.Under(from):
			return nil, nil
		case !at.Under(to):
			return s.sets(owner, dir)
		}
		sets, err := s.sets(owner, from.Join(at.Rel[len(to.Rel):]).Rel)
		out := make([]perm.Ruleset, len(sets))
		for i, rs := range sets {
			file := "/" + at.Join(rs.Kind.String()).String()
			rs.Dir, rs.From.File = dir, file
			rules := make([]perm.Rule, len(rs.Rules))
			for n, r := range rs.Rules {
				r.From.File = file
				rules[n] = r
			}
			rs.Rules = rules
			out[i] = rs
		}
		return out, err
	})
}

// decide asks for any level of user.
func (s *simulation) decide(user perm.User, p datasite.Path, isDir bool, want perm.Level) (perm.Decision, error) {
	return s.index.Decide(perm.Request{User: user, Owner: p.Owner, Path: p.Rel, IsDir: isDir, Want: want})
}

// rights are what user may do with p.
func (s *simulation) rights(user perm.User, p datasite.Path, isDir bool) (rights, error) {
	d, err := s.decide(user, p, isDir, perm.None)
	if err != nil || d.Level == perm.None {
		return rights{}, err
	}
	r := rights{level: d.Level, creates: d.Level >= perm.Create}
	if d.Level == perm.Write && strings.HasSuffix(d.By.File, "/"+datasite.PermFile) { // where the bits are independent
		c, err := s.decide(user, p, isDir, perm.Create)
		if err != nil {
			return rights{}, err
		}
		r.creates = c.Allowed
	}
	if r.level >= perm.Create && !d.Owner {
		r.limits = d.Limits
	}
	return r, nil
}
