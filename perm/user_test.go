package perm_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/openmined/syftfs/perm"
)

func TestParseUser(t *testing.T) {
	long := strings.Repeat("a", 64)
	labels := strings.Repeat(strings.Repeat("b", 46)+".", 4) // 188
	tests := []struct{ in, want string }{
		{"bob@x.org", "bob@x.org"},
		{"  Bob@X.ORG\n", "bob@x.org"},
		{"bob.a+tag_%-1@mail.x-y.org", "bob.a+tag_%-1@mail.x-y.org"},
		{"a--b@c--d.org", "a--b@c--d.org"},
		{"1@2.org", "1@2.org"},
		{"bob@bücher.example", "bob@xn--bcher-kva.example"},
		{"bob@bu\u0308cher.example", "bob@xn--bcher-kva.example"},
		{"bob@XN--bcher-kva.example", "bob@xn--bcher-kva.example"},
		{"bob@例え.テスト", "bob@xn--r8jz45g.xn--zckzah"},
		{long + "@x.org", long + "@x.org"},
		{long + "@" + labels + "x", ""}, // one label of one letter at the end
		{long[:61] + "@" + labels + "org", long[:61] + "@" + labels + "org"},

		{"syft", ""}, {"syft.com", ""}, {"syft@.com", ""}, {"*@x.com", ""}, {"?@x.com", ""}, {"a/b@x.com", ""}, {"o'neil@x.com", ""},
		{"*@x.example", ""}, {"a/b@x.example", ""}, {"o'neil@x.example", ""},
		{"", ""}, {" ", ""}, {"@", ""}, {"@x.org", ""}, {"bob@", ""}, {"bob@x", ""}, {"bob@@x.org", ""}, {"a@b@x.org", ""},
		{".bob@x.org", ""}, {"bob.@x.org", ""}, {"b..b@x.org", ""}, {"bo b@x.org", ""}, {"bob@x .org", ""},
		{"bob@-x.org", ""}, {"bob@x-.org", ""}, {"bob@x..org", ""}, {"bob@x.org.", ""}, {"bob@.x.org", ""},
		{"bob@x.o", ""}, {"bob@x.o1", ""}, {"bob@x.o-g", ""}, {"bob@127.0.0.1", ""}, {"bob@[127.0.0.1]", ""},
		{"bob@x_y.org", ""}, {"bob@x*.org", ""}, {"bob@x/y.org", ""}, {`bob\@x.org`, ""}, {"[a]@x.org", ""}, {"{a}@x.org", ""},
		{"bob\x00@x.org", ""}, {"bob@x.org\x00", ""}, {"bob\n@x.org", ""}, {"bob\x7f@x.org", ""}, {"\xff@x.org", ""}, {"bob@\xff.org", ""},
		{"böb@x.org", ""}, {"bob＠x.org", ""}, {"bob@ｘ＊.org", ""}, {"bob@x／y.org", ""}, {"bob@xn--a.org", ""}, {"bob@xn--.org", ""},
		{"\"bob\"@x.org", ""}, {"<bob@x.org>", ""}, {"bob@x.org,eve@x.org", ""},
		{long + "a@x.org", ""}, {"bob@" + strings.Repeat("b", 64) + ".org", ""}, {long[:63] + "@" + labels + "orgg", ""},
		{strings.Repeat("bob@x.org", 1000), ""},
		{"*", ""}, {"USER", ""}, {"anonymous", ""}, {string(perm.Anonymous), ""}, {".", ""}, {"..", ""},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, err := perm.ParseUser(tt.in)
			if string(got) != tt.want || (err == nil) != (tt.want != "") {
				t.Fatalf("got %q, error %v; want %q", got, err, tt.want)
			}
			if err != nil {
				if !errors.Is(err, perm.ErrAddress) || !strings.Contains(err.Error(), ": ") || !utf8.ValidString(err.Error()) {
					t.Errorf("error %q", err)
				}
				return
			}
			if again, err := perm.ParseUser(string(got)); err != nil || again != got {
				t.Errorf("not canonical: %q becomes %q, %v", got, again, err)
			}
		})
	}
}

func FuzzParseUser(f *testing.F) {
	for _, s := range []string{"bob@x.org", "Bob@Bücher.example", "a@xn--bcher-kva.org", "*@x.com", "a/b@x.com", "\u212a@x.org",
		" Bob.A+t@X.org", "a@b@c.org", "\x00anonymous", "bob@x\uff0eorg", "bob@\u4f8b\u3048.\u30c6\u30b9\u30c8", "bob@x.xn--p1ai"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := perm.ParseUser(s)
		if err != nil {
			return
		}
		if again, err := perm.ParseUser(string(u)); err != nil || again != u {
			t.Errorf("%q: %q becomes %q, %v", s, u, again, err)
		}
		if strings.Trim(string(u), "abcdefghijklmnopqrstuvwxyz0123456789._%+-@") != "" || len(u) > 254 || u == perm.Anonymous {
			t.Errorf("%q gives %q", s, u)
		}
	})
}

func TestLevels(t *testing.T) {
	for l := perm.Read; l <= perm.Admin; l++ {
		if got, err := perm.ParseLevel(l.String()); err != nil || got != l {
			t.Errorf("%v: %v, %v", l, got, err)
		}
	}
	for _, s := range []string{"", "none", "Read", "READ ", "delete", "level 9"} {
		if _, err := perm.ParseLevel(s); !errors.Is(err, perm.ErrLevel) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if perm.None.String() != "none" || perm.Level(9).String() != "level 9" || perm.Anonymous.String() != "anonymous" {
		t.Error("names")
	}
}
