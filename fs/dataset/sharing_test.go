package dataset

import (
	"context"
	"errors"
	iofs "io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/grant"
	"github.com/openmined/syftfs/perm"
)

// made is a world with the dataset d, read by rachel.
func made(t *testing.T, files map[string]string) *world {
	t.Helper()
	w := newWorld(t, files)
	_, err := Create(ctx, w.view, New{Name: "d", Mock: w.from("mock"), Private: w.from("real"), Readers: []string{string(rachel)}})
	must(t, err)
	return w
}

const someFile = "public/syft_datasets/d/sub/b.csv"

var above = map[string]map[string]string{
	"no file above":  nil,
	"an open one":    {"syft.pub.yaml": "rules:\n- {pattern: '**', access: {read: ['*']}} # all\n"},
	"a terminal one": {"syft.pub.yaml": "terminal: true\nrules:\n- {pattern: '**', access: {read: [bob@science.example]}} # kept\n"},
	"one of ours":    {"public/syft.pub.yaml": "rules:\n- {pattern: 'other/**', access: {read: ['*']}}\n"},
}

func TestShare(t *testing.T) {
	for name, files := range above {
		t.Run(name, func(t *testing.T) {
			w := made(t, files)
			d, err := Share(ctx, w.view, "d", " Bob@science.example ", string(rachel))
			must(t, err)
			slices.Sort(d.Readers)
			if diff := cmp.Diff([]string{string(bob), string(rachel)}, d.Readers); diff != "" {
				t.Error(diff)
			}
			if w.level(bob, someFile) != perm.Read || w.level(rachel, someFile) != perm.Read || w.level("eve@x.example", someFile) != perm.None {
				t.Error("wrong rights")
			}
			d, err = Unshare(ctx, w.view, "d", string(rachel))
			must(t, err)
			if diff := cmp.Diff([]string{string(bob)}, d.Readers); diff != "" {
				t.Error(diff)
			}
			if w.level(rachel, someFile) != perm.None || w.level(bob, someFile) != perm.Read {
				t.Error("wrong rights")
			}
			d, err = Share(ctx, w.view, "d", "any")
			must(t, err)
			if !slices.Contains(d.Readers, "*") || w.level("eve@x.example", someFile) != perm.Read || w.level("eve@x.example", "private/syft_datasets/d/a.csv") != perm.None {
				t.Errorf("%q", d.Readers)
			}
			if _, err := Unshare(ctx, w.view, "d", string(rachel)); err != nil && !errors.Is(err, grant.ErrNoEffect) {
				t.Error(err)
			}
			_, err = Unshare(ctx, w.view, "d", "*")
			must(t, err)
			if w.level("eve@x.example", someFile) != perm.None || w.level(bob, someFile) != perm.Read {
				t.Error("wrong rights")
			}
		})
	}
	w := made(t, nil)
	for _, c := range []struct {
		name, user string
		want       error
	}{{"none", string(rachel), iofs.ErrNotExist}, {"../d", string(rachel), datasite.ErrName}, {"d", "rachel", perm.ErrAddress}} {
		if _, err := Share(ctx, w.view, c.name, c.user); !errors.Is(err, c.want) {
			t.Errorf("%s %s: %v", c.name, c.user, err)
		}
	}
}

// TestShareOfABrokenOne: that its description cannot be read must not keep its owner from taking it away from people.
func TestShareOfABrokenOne(t *testing.T) {
	w := made(t, nil)
	must(t, w.view.Write(ctx, datasite.Path{Owner: owner, Rel: "public/syft_datasets/d/dataset.yaml"}, []byte("name: {")))
	if _, err := Unshare(ctx, w.view, "d", string(rachel)); !errors.Is(err, ErrBroken) {
		t.Error(err)
	}
	if w.level(rachel, someFile) != perm.None {
		t.Error("she still reads it")
	}
}

func TestDelete(t *testing.T) {
	for name, files := range above {
		t.Run(name, func(t *testing.T) {
			w := made(t, files)
			before := w.tree("private")
			done, err := Delete(ctx, w.view, "d", false)
			must(t, err)
			private := datasite.Path{Owner: owner, Rel: "private/syft_datasets/d"}
			if diff := cmp.Diff(Deleted{Mock: true, Left: private}, done); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(before, w.tree("private")); diff != "" {
				t.Error(diff)
			}
			if _, err := Delete(ctx, w.view, "d", false); !errors.Is(err, iofs.ErrNotExist) || !strings.Contains(err.Error(), "private part is left") {
				t.Error(err)
			}
			done, err = Delete(ctx, w.view, "d", true)
			must(t, err)
			if diff := cmp.Diff(Deleted{Private: true}, done); diff != "" {
				t.Error(diff)
			}
			left := w.tree("")
			for rel, text := range left {
				if strings.Contains(text, "syft_datasets/d") || strings.Contains(rel, "syft_datasets/d") {
					t.Errorf("%s: %s", rel, text)
				}
			}
			if slices.Sorted(maps.Keys(left)) == nil && files != nil {
				t.Error("the rules above are gone")
			}
			if _, err := Delete(ctx, w.view, "d", true); !errors.Is(err, iofs.ErrNotExist) {
				t.Error(err)
			}
		})
	}
}

func TestDeleteCrashes(t *testing.T) {
	for _, op := range []string{"remove:rename", "remove:sync-dir"} {
		left := 0
		f := fault(func(got string) error {
			if got == op {
				if left--; left == 0 {
					return errFault
				}
			}
			return nil
		})
		w := newWorld(t, nil, backing.WithFault(f))
		_, err := Create(ctx, w.view, New{Name: "d", Mock: w.from("mock.csv"), Private: w.from("real.csv"), Readers: []string{string(rachel)}})
		must(t, err)
		left = 1
		if _, err := Delete(ctx, w.view, "d", true); !errors.Is(err, errFault) {
			t.Fatalf("%s: %v", op, err)
		}
		if _, err := Delete(ctx, w.view, "d", true); err != nil {
			t.Errorf("%s: %v", op, err)
		}
		if got := len(w.tree("public")) + len(w.tree("private")); got > 0 {
			t.Errorf("%s: %d files are left", op, got)
		}
	}
}

// TestRestrict: whom it names, and nobody else, reads what comes later.
func TestRestrict(t *testing.T) {
	for name, files := range above {
		for _, had := range []string{"", "rules:\n- {pattern: '**', access: {read: [bob@science.example]}} # mine\n"} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, files)
				if had != "" {
					put(t, filepath.Join(w.dir, string(owner)), map[string]string{"public/syft_datasets/d/syft.pub.yaml": had})
				}
				s := NewSharing(w.view)
				dir := datasite.Path{Owner: owner, Rel: "public/syft_datasets/d"}
				must(t, s.Restrict(ctx, dir, []perm.User{rachel}))
				must(t, w.view.Write(ctx, dir.Join("a.csv"), []byte("1")))
				for u, want := range map[perm.User]perm.Level{rachel: perm.Read, bob: perm.None, "eve@x.example": perm.None} {
					if l, err := s.Level(ctx, u, dir.Join("a.csv")); err != nil || l != want {
						t.Errorf("%s: %s %v", u, l, err)
					}
				}
				readers, err := s.Readers(ctx, dir.Join("a.csv"))
				must(t, err)
				if diff := cmp.Diff([]string{string(rachel)}, readers); diff != "" {
					t.Error(diff)
				}
				if had != "" && !strings.Contains(name, "terminal") && !strings.Contains(w.tree("public/syft_datasets/d")["syft.pub.yaml"], "# mine") {
					t.Error("the file was written anew")
				}
			})
		}
	}
}

// keeper is a Backup that may fail.
type keeper struct {
	said []bool
	err  error
}

func (k *keeper) Backup(_ context.Context, name string, keep bool) error {
	k.said = append(k.said, keep)
	return k.err
}

func TestCreateWithBackup(t *testing.T) {
	w := newWorld(t, nil)
	k := &keeper{}
	n := New{Name: "d", Mock: w.from("mock"), Private: w.from("real"), Location: "ward 7", Readers: []string{"any"}, Backup: k}
	d, err := Create(ctx, w.view, n)
	must(t, err)
	if !slices.Equal(k.said, []bool{true}) || d.Location != "ward 7" || !slices.Equal(d.Readers, []string{"*"}) {
		t.Errorf("%v %+v", k.said, d)
	}
	if _, err := Create(ctx, w.view, n); !errors.Is(err, iofs.ErrExist) || len(k.said) != 1 {
		t.Errorf("%v %v", err, k.said)
	}
	k.err = errFault
	n.Name = "e"
	if _, err := Create(ctx, w.view, n); !errors.Is(err, errFault) || len(w.tree("public/syft_datasets/e")) > 0 || len(w.tree("private/syft_datasets/e")) > 0 {
		t.Error(err)
	}
}

func TestURL(t *testing.T) {
	p := datasite.Path{Owner: owner, Rel: "public/syft_datasets/open set/ä?#.csv"}
	got, err := ParseURL(URL(p))
	must(t, err)
	if got != p {
		t.Errorf("%v", got)
	}
	for _, bad := range []string{"", "syft://", "owen@centre.example/x", "https://owen@centre.example/x", "syft://centre/x", "syft://owen@centre.example/../x", "syft://owen@centre.example/a\x00"} {
		if p, err := ParseURL(bad); err == nil {
			t.Errorf("%q: %v", bad, p)
		}
	}
}

func TestResolve(t *testing.T) {
	w := made(t, nil)
	put(t, w.dir, map[string]string{string(rachel) + "/public/syft_datasets/hers/dataset.yaml": "name: hers\n", string(rachel) + "/public/syft_datasets/hers/b.csv": "flat"})
	for url, want := range map[string]string{
		"syft://owen@centre.example/public/syft_datasets/d":                    "owen@centre.example/public/syft_datasets/d",
		"syft://owen@centre.example/private/syft_datasets/d/a.csv":             "owen@centre.example/private/syft_datasets/d/a.csv",
		"syft://Rachel@science.example/public/syft_datasets/hers/sub/x/b.csv":  "rachel@science.example/public/syft_datasets/hers/b.csv",
		"syft://rachel@science.example/public/syft_datasets/hers/dataset.yaml": "rachel@science.example/public/syft_datasets/hers/dataset.yaml",
	} {
		p, err := Resolve(ctx, w.view, url)
		must(t, err)
		if p.String() != want {
			t.Errorf("%s: %s", url, p)
		}
	}
	for _, none := range []string{"syft://rachel@science.example/private/syft_datasets/hers", "syft://owen@centre.example/public/syft_datasets/d/sub/a.csv", "syft://rachel@science.example/public/syft_datasets/hers/none.csv"} {
		if _, err := Resolve(ctx, w.view, none); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("%s: %v", none, err)
		}
	}
	hers := w.g.View(datasite.Identity{Subject: rachel}, nil)
	if _, err := Resolve(ctx, hers, "syft://owen@centre.example/private/syft_datasets/d/a.csv"); err == nil {
		t.Error("she sees the private part")
	}
	d, err := DescribeOf(ctx, w.view, rachel, "hers")
	must(t, err)
	if d.Owner != rachel || d.Held {
		t.Errorf("%+v", d)
	}
}

func TestRehome(t *testing.T) {
	old := read(t, "1-private_metadata.yaml")
	const was = "/home/owen/SyftBox_owen@cancer-research.example/owen@cancer-research.example/private/syft_datasets/heart_study_2026"
	same, err := Rehome([]byte(old), was)
	must(t, err)
	if diff := cmp.Diff(old, string(same)); diff != "" {
		t.Error(diff)
	}
	moved, err := Rehome([]byte(old), "/srv/a b")
	must(t, err)
	if diff := cmp.Diff(strings.ReplaceAll(old, was, "/srv/a b"), string(moved)); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"", "[]", "data_dir: x", "uid: [1]", "uid: {"} {
		if _, err := Rehome([]byte(bad), "."); !errors.Is(err, ErrBroken) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestUnreachableNames(t *testing.T) {
	w := newWorld(t, nil)
	must(t, os.WriteFile(w.from("mock/what?.csv"), []byte("x\n9\n"), 0o644))
	d, err := Create(ctx, w.view, New{Name: "d", Mock: w.from("mock"), Private: w.from("real")})
	must(t, err)
	if len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "what?.csv") {
		t.Errorf("%q", d.Notes)
	}
}
