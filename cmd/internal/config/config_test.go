package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLoadIsStrictAndNamesTheField(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{"minimal", "email: a@x.org\n", ""},
		{"full", "email: a@x.org\nmount: /m\nbacking: /b\njobs: {settle: 1s, bare_settle: 3s}\nlimits: {timeout: 5m, memory: 1024}\n", ""},
		{"unknown key", "email: a@x.org\nmuont: /m\n", "muont"},
		{"no address", "mount: /m\n", "email"},
		{"relative mount", "email: a@x.org\nmount: m\n", "mount"},
		{"mount inside backing", "email: a@x.org\nmount: /b/m\nbacking: /b\n", "inside each other"},
		{"bad duration", "email: a@x.org\nlimits: {timeout: soon}\n", "soon"},
		{"negative duration", "email: a@x.org\nlimits: {timeout: -1s}\n", "-1s"},
		{"no memory", "email: a@x.org\nlimits: {memory: 0}\n", "limits.memory"},
		{"bad drive", "email: a@x.org\ndrive: {at: 'ftp://x'}\n", "drive.at"},
		{"bad watch", "email: a@x.org\nwatch: maybe\n", "watch"},
		{"bad locks", "email: a@x.org\nlocks: maybe\n", "locks"},
		{"bad durability", "email: a@x.org\ndurability: maybe\n", "durability"},
		{"not yaml", "email: [\n", "line"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, File), []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(dir)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir) {
				t.Fatalf("error %v, want one that names %s and %q", err, dir, tt.want)
			}
		})
	}
}

func TestMarshalRoundTrip(t *testing.T) {
	dir := t.TempDir()
	c := Default("a@x.org", "/home/a")
	c.Limits.Timeout = Duration(90 * time.Second)
	b, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, File), b, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(dir)
	if err != nil || got != c {
		t.Fatalf("got %+v, %v; want %+v", got, err, c)
	}
}

func TestFind(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	if _, err := Find(""); err != ErrNone {
		t.Fatalf("no datasite: %v", err)
	}
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	add := func(name string) {
		dir := filepath.Join(root, name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, File), []byte("email: a@x.org\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	add("one")
	if dir, err := Find(""); err != nil || filepath.Base(dir) != "one" {
		t.Fatalf("the only one: %s, %v", dir, err)
	}
	add("two")
	if _, err := Find(""); err == nil || !strings.Contains(err.Error(), "--datasite") {
		t.Fatalf("several: %v", err)
	}
	if dir, err := Find("two"); err != nil || filepath.Base(dir) != "two" {
		t.Fatalf("by name: %s, %v", dir, err)
	}
	for _, bad := range []string{"../one", ".x", "three", strings.Repeat("a", 64)} {
		if _, err := Find(bad); err == nil {
			t.Errorf("%q was found", bad)
		}
	}
}

func TestSlug(t *testing.T) {
	for in, want := range map[string]string{"owen@cancer-research.example": "owen-cancer-research.example", ".A@x.org": "a-x.org"} {
		if got := Slug(in); got != want || CheckName(got) != nil {
			t.Errorf("Slug(%q) = %q, want %q", in, got, want)
		}
	}
}
