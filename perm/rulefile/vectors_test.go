package rulefile_test

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
	"gopkg.in/yaml.v3"
)

// vector is one case of testdata; README.md there says what the fields mean.
type vector struct {
	ID       string
	Format   string
	Now      time.Time
	Files    map[string]string
	Checks   []check
	Steps    []step
	Document *string
	Error    bool
	Patterns []string
	Order    []string `yaml:"expect_order"`
	Pattern  *string
	Score    int
}

type step struct {
	Write  map[string]string
	Remove []string
	Checks []check
}

type check struct {
	User, Path, Access string
	Allow              bool
	File               *struct {
		Size         int64
		Dir, Symlink bool
	}
	Reasons []string `yaml:"reason_contains"`
}

func TestVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	ran := 0
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var all struct{ Cases []vector }
		if err := yaml.Unmarshal(src, &all); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, v := range all.Cases {
			ran++
			t.Run(strings.TrimSuffix(path.Base(name), ".yaml")+"/"+v.ID, func(t *testing.T) { v.run(t) })
		}
	}
	t.Logf("%d cases", ran)
}

func (v *vector) run(t *testing.T) {
	switch {
	case v.Document != nil:
		base := perm.FilePub
		if v.Format == "syftperm" {
			base = perm.FilePerm
		}
		rs, _, err := rulefile.Parse("/a@x.org/"+base, []byte(*v.Document))
		if (err != nil) != v.Error || (rs.Broken != nil) != v.Error {
			t.Errorf("error %v, want one: %v", err, v.Error)
		}
	case v.Pattern != nil:
		if got := perm.Score(*v.Pattern); got != v.Score {
			t.Errorf("score of %q is %d, want %d", *v.Pattern, got, v.Score)
		}
	case v.Patterns != nil:
		got := slices.Clone(v.Patterns)
		slices.SortStableFunc(got, func(a, b string) int { return perm.Score(b) - perm.Score(a) })
		if !slices.Equal(got, v.Order) {
			t.Errorf("order %q, want %q", got, v.Order)
		}
	default:
		if len(v.Checks) == 0 && len(v.Steps) == 0 {
			t.Fatal("a case of no known kind")
		}
		tree := newTree()
		tree.apply(t, step{Write: v.Files})
		v.check(t, tree, v.Checks)
		for _, s := range v.Steps {
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
			if d.Allowed != c.Allow {
				t.Errorf("round %d, check %d: allowed %v, want %v\n%s", round, i, d.Allowed, c.Allow, d.Explain())
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
	changed := slices.Concat(s.Remove, slices.Collect(maps.Keys(s.Write)))
	for _, name := range s.Remove {
		delete(tr.files, name)
	}
	maps.Copy(tr.files, s.Write)
	for _, name := range changed {
		owner, below, _ := strings.Cut(name, "/")
		dir := strings.TrimPrefix(path.Dir("/"+below), "/")
		tr.index.Forget(perm.User(owner), dir)
	}
}

func (tr *tree) ask(c check, now time.Time) (perm.Decision, error) {
	owner, below, _ := strings.Cut(strings.TrimPrefix(path.Clean("/"+c.Path), "/"), "/")
	r := perm.Request{User: perm.User(c.User), Owner: perm.User(owner), Path: below, Now: now}
	if c.User == "*" {
		r.User = perm.Anonymous
	}
	var err error
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
