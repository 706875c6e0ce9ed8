package perm_test

import (
	"fmt"
	"path"
	"testing"

	"github.com/openmined/syftfs/perm"
)

// big is 1,000 rule files of 20 rules each, in folders eight deep.
func big() (d *disk, folders []string) {
	d = newDisk()
	for n := range 1000 {
		dir := ""
		for depth := range 8 {
			dir = path.Join(dir, fmt.Sprintf("d%d", (n>>depth)&1+depth*2))
		}
		dir = path.Join(dir, fmt.Sprintf("n%d", n))
		var rules []string
		for i := range 17 {
			rules = append(rules, fmt.Sprintf("sub%d/*.csv read u%d@x.org,*@dept%d.org", i, i, i))
		}
		rules = append(rules, "in/{{.UserEmail}}/** create USER", "**/[!a]*.md read *", "** read bob@x.org")
		d.put(dir, pub(rules...))
		folders = append(folders, dir)
	}
	return d, folders
}

func BenchmarkDecideCached(b *testing.B) {
	d, folders := big()
	x := perm.NewIndex(d.load)
	r := perm.Request{User: "bob@x.org", Owner: alice, Path: folders[7] + "/data/file.csv", Want: perm.Read}
	b.ReportAllocs()
	for b.Loop() {
		if got, err := x.Decide(r); err != nil || !got.Allowed {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecideOwner(b *testing.B) {
	x := perm.NewIndex(newDisk().load)
	r := perm.Request{User: alice, Owner: alice, Path: "d1/d2/d3/file.csv", Want: perm.Write}
	b.ReportAllocs()
	for b.Loop() {
		if got, err := x.Decide(r); err != nil || !got.Allowed {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecideManyCached asks for 100,000 paths in turn.
func BenchmarkDecideManyCached(b *testing.B) {
	d, folders := big()
	x := perm.NewIndex(d.load)
	paths := spread(folders)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := x.Decide(perm.Request{User: "bob@x.org", Owner: alice, Path: paths[i%len(paths)], Want: perm.Read}); err != nil {
			b.Fatal(err)
		}
	}
}

func spread(folders []string) []string {
	paths := make([]string, 100000)
	for i := range paths {
		paths[i] = fmt.Sprintf("%s/sub%d/f%d.csv", folders[i%len(folders)], i%23, i)
	}
	return paths
}

// BenchmarkDecideUncached turns the epoch for each, so that neither the decision nor the folder's rules are known, only the
// files are.
func BenchmarkDecideUncached(b *testing.B) {
	d, folders := big()
	x := perm.NewIndex(d.load)
	paths := spread(folders)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		x.Turn(alice)
		if _, err := x.Decide(perm.Request{User: "bob@x.org", Owner: alice, Path: paths[i%len(paths)], Want: perm.Read}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecideNew asks something new each time, in folders whose rules are known.
func BenchmarkDecideNew(b *testing.B) {
	d, folders := big()
	x := perm.NewIndex(d.load)
	paths := spread(folders)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%len(paths) == 0 {
			b.StopTimer()
			x.Turn(alice)
			for _, f := range folders {
				if _, err := x.Decide(perm.Request{User: "bob@x.org", Owner: alice, Path: f, IsDir: true, Want: perm.Read}); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
		}
		if _, err := x.Decide(perm.Request{User: "bob@x.org", Owner: alice, Path: paths[i%len(paths)], Want: perm.Read}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReplaceRules replaces one rule file while 100,000 decisions are cached, and asks once.
func BenchmarkReplaceRules(b *testing.B) {
	d, folders := big()
	x := perm.NewIndex(d.load)
	for _, p := range spread(folders) {
		if _, err := x.Decide(perm.Request{User: "bob@x.org", Owner: alice, Path: p, Want: perm.Read}); err != nil {
			b.Fatal(err)
		}
	}
	r := perm.Request{User: "bob@x.org", Owner: alice, Path: folders[3] + "/f", Want: perm.Read}
	b.ReportAllocs()
	for b.Loop() {
		x.Forget(alice, folders[3])
		if got, err := x.Decide(r); err != nil || !got.Allowed {
			b.Fatal(err)
		}
	}
}

// TestCachedDecisionsDoNotAllocate holds the goal that can be tested without a clock.
func TestCachedDecisionsDoNotAllocate(t *testing.T) {
	d, folders := big()
	x := perm.NewIndex(d.load)
	for _, u := range []perm.User{alice, "bob@x.org", "eve@x.org", perm.Anonymous} {
		r := perm.Request{User: u, Owner: alice, Path: folders[7] + "/data/file.csv", Want: perm.Read}
		if n := testing.AllocsPerRun(100, func() {
			if _, err := x.Decide(r); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", u, n)
		}
	}
}
