package datasite

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/openmined/syftfs/perm"
	"pgregory.net/rapid"
)

const owner = perm.User("owen@lab.example")

func TestParse(t *testing.T) {
	tests := []struct {
		in   string
		want Path
		bad  bool
	}{
		{in: "", want: Path{}},
		{in: "/", want: Path{}},
		{in: "./.", want: Path{}},
		{in: "owen@lab.example", want: Path{Owner: owner}},
		{in: "/owen@lab.example/", want: Path{Owner: owner}},
		{in: "Owen@Lab.example/A", want: Path{Owner: owner, Rel: "A"}},
		{in: "owen@lab.example//a/./b/", want: Path{Owner: owner, Rel: "a/b"}},
		{in: "owen@lab.example/a/../b", want: Path{Owner: owner, Rel: "b"}},
		{in: "owen@lab.example/a/..", want: Path{Owner: owner}},
		{in: "owen@lab.example/..", bad: true},
		{in: "owen@lab.example/a/../../x", bad: true},
		{in: "../owen@lab.example", bad: true},
		{in: "lab", bad: true},
		{in: "*@x.org/a", bad: true},
		{in: "owen@lab.example/a\x00b", bad: true},
		{in: "owen@lab.example/caf\xe9", bad: true},
		{in: "owen@lab.example/" + strings.Repeat("x", 256), bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, err := Parse(tt.in)
			if tt.bad {
				if err == nil {
					t.Fatalf("taken as %q", got)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Fatalf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func checkPath(t interface{ Fatalf(string, ...any) }, s string) {
	p, err := Parse(s)
	if err != nil {
		return
	}
	again, err := Parse(p.String())
	if err != nil || again != p {
		t.Fatalf("%q is %+v, whose text %q is %+v (%v)", s, p, p.String(), again, err)
	}
	for part := range strings.SplitSeq(p.Rel, "/") {
		if part == ".." || part == "." || part == "" && p.Rel != "" {
			t.Fatalf("%q has the part %q", s, part)
		}
	}
	if p.IsRoot() {
		return
	}
	if !p.Under(Path{}) || !p.Under(Path{Owner: p.Owner}) || !p.Under(p) || !p.Under(p.Parent()) {
		t.Fatalf("%q is not below its own folders", p)
	}
	if back, err := p.Parent().Child(p.Base()); err != nil || back != p {
		t.Fatalf("child of parent of %q is %q (%v)", p, back, err)
	}
}

// TestPathsHold: what is parsed reads back the same, never climbs, and is the child of its parent.
func TestPathsHold(t *testing.T) {
	parts := rapid.SliceOf(rapid.SampledFrom([]string{"owen@lab.example", "a", "b.c", "..", ".", "", "é", "\xff", "syft.pub.yaml", "x y", "-"}))
	rapid.Check(t, func(t *rapid.T) { checkPath(t, strings.Join(parts.Draw(t, "parts"), "/")) })
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "owen@lab.example/a/b", "owen@lab.example/../x", "a@b.co/\x00", "A@B.co//x/.", "owen@lab.example/a/../../b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkPath(t, s) })
}

func TestUnder(t *testing.T) {
	at := func(rel string) Path { return Path{Owner: owner, Rel: rel} }
	for _, tt := range []struct {
		p, dir Path
		want   bool
	}{
		{at("a/b"), at("a"), true}, {at("ab"), at("a"), false}, {at("a"), at("a/b"), false}, {at("a"), at(""), true},
		{at("a"), Path{}, true}, {at("a"), Path{Owner: "x@y.org"}, false},
	} {
		if got := tt.p.Under(tt.dir); got != tt.want {
			t.Errorf("%q under %q: %t", tt.p, tt.dir, got)
		}
	}
}

func TestAreas(t *testing.T) {
	for _, tt := range []struct {
		rel        string
		want       Area
		replicated bool
	}{
		{"public/x.txt", Public, true},
		{"publicity", Other, true},
		{"private/x", Private, false},
		{"public/syft_datasets/d/mock.csv", Datasets, false},
		{"private/syft_datasets/d/real.csv", Datasets, false},
		{"app_data/job/inbox/a@b.co/j/run.sh", JobInbox, true},
		{"app_data/job/review/a@b.co/j/state.yaml", JobReview, true},
		{"a/syft.pub.yaml", Rules, true},
		{"syftperm.yaml", Rules, true},
		{"private/syft.pub.yaml", Rules, false},
		{"public/syft_datasets/d/syft.pub.yaml", Rules, false},
		{"a/.git/config", Other, false},
		{"a/node_modules/x", Other, false},
		{"", Other, false},
	} {
		p := Path{Owner: owner, Rel: tt.rel}
		if got := p.Area(); got != tt.want {
			t.Errorf("%q lies in %d, want %d", tt.rel, got, tt.want)
		}
		if got := p.Replicated(); got != tt.replicated {
			t.Errorf("%q replicated: %t", tt.rel, got)
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, bad := range []string{"", ".", "..", "a/b", "a\x00", "\xff", strings.Repeat("a", 256)} {
		if err := CheckName(bad); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, good := range []string{"a", "...", "é", " ", strings.Repeat("a", 255)} {
		if err := CheckName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestHashText(t *testing.T) {
	h := Hash{1, 2, 255}
	b, err := h.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var back Hash
	if err := back.UnmarshalText(b); err != nil || back != h {
		t.Errorf("%s reads back as %s, %v", b, back, err)
	}
	if err := back.UnmarshalText(nil); err != nil || back != (Hash{}) {
		t.Errorf("empty text is %s, %v", back, err)
	}
	for _, bad := range []string{"00", strings.Repeat("0", 66), strings.Repeat("g", 64)} {
		if err := back.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestStampSame(t *testing.T) {
	now := time.Unix(1, 5)
	s := Stamp{Dev: 1, Ino: 2, Size: 3, MTime: now, CTime: now}
	if !s.Same(s) {
		t.Error("a stamp is not the same as itself")
	}
	for name, change := range map[string]func(*Stamp){
		"racy": func(s *Stamp) { s.Racy = true }, "inode": func(s *Stamp) { s.Ino++ }, "size": func(s *Stamp) { s.Size++ },
		"mtime": func(s *Stamp) { s.MTime = now.Add(1) }, "ctime": func(s *Stamp) { s.CTime = now.Add(1) },
	} {
		c := s
		change(&c)
		if s.Same(c) || c.Same(s) {
			t.Errorf("%s: taken as untouched", name)
		}
	}
}
