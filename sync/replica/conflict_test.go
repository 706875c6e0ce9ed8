package replica

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"pgregory.net/rapid"
)

func TestResolve(t *testing.T) {
	a, b, c, none := sum("a"), sum("b"), sum("c"), datasite.Hash{}
	for _, tt := range []struct {
		name string
		v    Versions
		want Outcome
	}{
		{"the same", Versions{Base: a, Ours: b, Theirs: b}, Keep},
		{"they changed it", Versions{Base: a, Ours: a, Theirs: b}, Take},
		{"they removed it", Versions{Base: a, Ours: a, Theirs: none}, Take},
		{"they made it", Versions{Theirs: b}, Take},
		{"we changed it", Versions{Base: a, Ours: b, Theirs: a}, Keep},
		{"we removed it", Versions{Base: a, Ours: none, Theirs: a}, Keep},
		{"we removed it, they changed it", Versions{Base: a, Ours: none, Theirs: b}, Take},
		{"we changed it, they removed it", Versions{Base: a, Ours: b, Theirs: none}, TakeCopy},
		{"both changed it", Versions{Base: a, Ours: b, Theirs: c}, TakeCopy},
		{"both made it", Versions{Ours: b, Theirs: c}, TakeCopy},
		{"they took our first change, we made a second", Versions{Base: a, Ours: c, Mine: []datasite.Hash{b, c}, Theirs: b}, Keep},
		{"they took ours and went on", Versions{Base: a, Ours: b, Theirs: c, Past: []datasite.Hash{a, b}}, Take},
		{"they answer that theirs stands", Versions{Base: a, Ours: b, Theirs: a, News: true}, TakeCopy},
		{"our file, proposed from what is here", Versions{Ours: a, Theirs: b, Past: []datasite.Hash{a}, Settle: true}, Take},
		{"our file, proposed from an older one", Versions{Ours: b, Theirs: c, Past: []datasite.Hash{a}, Settle: true}, Keep},
		{"our file, a new one", Versions{Theirs: c, Past: []datasite.Hash{none}, Settle: true}, Take},
		{"our file, a new one where one is", Versions{Ours: a, Theirs: c, Past: []datasite.Hash{none}, Settle: true}, Keep},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Resolve(tt.v); got != tt.want {
				t.Errorf("Resolve(%+v) = %d, want %d", tt.v, got, tt.want)
			}
		})
	}
}

// TestResolveLosesNothing: bytes are only overwritten without a copy if the other side says that it had them, or had just agreed on them.
func TestResolveLosesNothing(t *testing.T) {
	hashes := []datasite.Hash{{}, sum("a"), sum("b"), sum("c"), sum("d")}
	rapid.Check(t, func(t *rapid.T) {
		hash := rapid.SampledFrom(hashes)
		v := Versions{Base: hash.Draw(t, "base"), Ours: hash.Draw(t, "ours"), Theirs: hash.Draw(t, "theirs"), Mine: rapid.SliceOfN(hash, 0, 3).Draw(t, "mine"),
			Past: rapid.SliceOfN(hash, 0, 3).Draw(t, "past"), News: rapid.Bool().Draw(t, "news"), Settle: rapid.Bool().Draw(t, "settle")}
		got := Resolve(v)
		known := v.Ours == v.Base || v.Ours == (datasite.Hash{}) || slices.Contains(v.Past, v.Ours)
		switch {
		case got == Take && !known:
			t.Fatalf("%+v: ours is overwritten", v)
		case got == TakeCopy && (v.Settle || v.Ours == (datasite.Hash{}) || v.Ours == v.Theirs):
			t.Fatalf("%+v: a copy of nothing, or in our own datasite", v)
		}
		if got != Keep {
			v.Base, v.Ours, v.Mine = v.Theirs, v.Theirs, nil
			if again := Resolve(v); again != Keep {
				t.Fatalf("%+v: done once, it is %d again", v, again)
			}
		}
	})
}

func TestCopyName(t *testing.T) {
	now := time.Date(2026, 11, 24, 13, 5, 6, 7, time.UTC)
	for _, tt := range []struct{ rel, want string }{
		{"a/report.csv", "a/report.conflict-20261124T130506Z-rachel@science.example-" + sum("x").String()[:8] + ".csv"},
		{"README", "README.conflict-20261124T130506Z-rachel@science.example-" + sum("x").String()[:8]},
		{".env", ".env.conflict-20261124T130506Z-rachel@science.example-" + sum("x").String()[:8]},
	} {
		got := copyName(at(owen, tt.rel), sum("x"), rachel, now)
		if got.Rel != tt.want || !isCopy(got.Base()) {
			t.Errorf("copy of %s is %s, want %s", tt.rel, got.Rel, tt.want)
		}
	}
	long := copyName(at(owen, strings.Repeat("ü", 120)+".parquet"), sum("x"), rachel, now)
	if len(long.Base()) > maxName || !isCopy(long.Base()) || datasite.CheckName(long.Base()) != nil {
		t.Errorf("copy of a long name is %q", long.Base())
	}
	for _, name := range []string{"a.txt", "a.conflict-x", "a.conflict-20261124T130506Z-rachel-12345678", "a.conflict-20261124T130506Z-r@x.org-1234", ".conflict-20261124T130506Z"} {
		if isCopy(name) {
			t.Errorf("%s is taken for a copy", name)
		}
	}
	if !isCopy("a.conflict-20261124T130506Z-anna-lena@uni-x.example-0123abcd.tar.gz") {
		t.Error("an address with dashes, and two extensions")
	}
}
