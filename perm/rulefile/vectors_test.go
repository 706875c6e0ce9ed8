package rulefile_test

import (
	iofs "io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
)

func TestVectors(t *testing.T) {
	ran, checks := 0, 0
	for _, name := range vectorFiles(t) {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		cases, err := readVectors(src)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, v := range cases {
			ran++
			checks += v.checks()
			t.Run(strings.TrimSuffix(path.Base(name), path.Ext(name))+"/"+v.ID, func(t *testing.T) { v.run(t) })
		}
	}
	t.Logf("%d cases, %d checks", ran, checks)
}

func (v *vector) run(t *testing.T) {
	switch {
	case v.Document != nil:
		base := perm.FilePub
		if v.Format == "syftperm" {
			base = perm.FilePerm
		}
		rs, _, err := rulefile.Parse("/a@x.org/"+base, []byte(*v.Document))
		if (err != nil) != *v.Error || (rs.Broken != nil) != *v.Error {
			t.Errorf("error %v, want one: %v", err, *v.Error)
		}
	case v.Pattern != nil:
		if got := perm.Score(*v.Pattern); got != *v.Score {
			t.Errorf("score of %q is %d, want %d", *v.Pattern, got, *v.Score)
		}
	case v.Patterns != nil:
		got := slices.Clone(v.Patterns)
		slices.SortStableFunc(got, func(a, b string) int { return perm.Score(b) - perm.Score(a) })
		if !slices.Equal(got, v.Order) {
			t.Errorf("order %q, want %q", got, v.Order)
		}
	default:
		tree := newTree()
		for _, s := range append([]step{{Write: v.Files, Checks: v.Checks}}, v.Steps...) {
			tree.apply(t, s)
			v.check(t, tree, s.Checks)
		}
	}
}

func (v *vector) check(t *testing.T, tree *tree, checks []check) {
	t.Helper()
	for round := range 2 { // the second answer comes from the cache
		for i, c := range checks {
			d, err := tree.ask(c, v.Now)
			if err != nil {
				t.Fatalf("check %d: %v", i, err)
			}
			if d.Allowed != *c.Allow {
				t.Errorf("round %d, check %d: allowed %v, want %v\n%s", round, i, d.Allowed, *c.Allow, d.Explain())
			}
			for _, want := range c.Reasons {
				if !slices.ContainsFunc(d.Steps, func(s perm.Step) bool { return strings.Contains(s.Text, want) }) {
					t.Errorf("round %d, check %d: no reason contains %q\n%s", round, i, want, d.Explain())
				}
			}
		}
	}
}

// tree is a set of rule files in memory, with an index that stays alive over changes.
type tree struct {
	files map[string]string // "owner@x.org/dir/syft.pub.yaml"
	index *perm.Index
}

func newTree() *tree {
	tr := &tree{files: map[string]string{}}
	tr.index = perm.NewIndex(func(owner perm.User, dir string) ([]perm.Ruleset, error) {
		var sets []perm.Ruleset
		for _, base := range []string{perm.FilePub, perm.FilePerm} {
			name := path.Join(string(owner), dir, base)
			if src, ok := tr.files[name]; ok {
				rs, _, _ := rulefile.Parse("/"+name, []byte(src))
				sets = append(sets, rs)
			}
		}
		return sets, nil
	})
	return tr
}

func (tr *tree) apply(t *testing.T, s step) {
	t.Helper()
	var changed []string
	for _, name := range s.Remove {
		name = strings.TrimPrefix(name, "/")
		if _, ok := tr.files[name]; !ok {
			t.Errorf("%s is to be removed, but was never there", name)
		}
		delete(tr.files, name)
		changed = append(changed, name)
	}
	for name, text := range s.Write {
		name = strings.TrimPrefix(name, "/")
		tr.files[name] = text
		changed = append(changed, name)
	}
	for _, name := range changed {
		owner, below, _ := strings.Cut(name, "/")
		dir := strings.TrimPrefix(path.Dir("/"+below), "/")
		tr.index.Forget(perm.User(owner), dir)
	}
}

func (tr *tree) ask(c check, now time.Time) (perm.Decision, error) {
	owner, below, err := place(c.Path)
	if err != nil {
		return perm.Decision{}, nil // nobody gets there
	}
	r := perm.Request{User: perm.User(c.User), Owner: perm.User(owner), Path: below, Now: now}
	if c.User == "*" {
		r.User = perm.Anonymous
	}
	if r.Want, err = perm.ParseLevel(c.Access); err != nil {
		return perm.Decision{}, err
	}
	var f perm.File
	if c.File != nil {
		f = perm.File{Size: c.File.Size, Dir: c.File.Dir, Symlink: c.File.Symlink}
		r.IsDir = f.Dir
	}
	d, err := tr.index.Decide(r)
	if err != nil {
		return d, err
	}
	return d.Limit(f), nil
}

// place cleans a path and cuts it into its datasite and the rest. A path that climbs out of its datasite leads nowhere.
func place(p string) (owner, below string, err error) {
	var names []string
	for _, s := range strings.Split(p, "/") {
		switch {
		case s == "" || s == ".":
		case s != "..":
			names = append(names, s)
		case len(names) > 1:
			names = names[:len(names)-1]
		default:
			return "", "", iofs.ErrInvalid
		}
	}
	if len(names) == 0 {
		return "", "", nil
	}
	return names[0], strings.Join(names[1:], "/"), nil
}
