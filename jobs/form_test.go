package jobs

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func TestCheckNameAccepts(t *testing.T) {
	for _, n := range []string{"a", "Mean Analysis", "Überblick – 概要", "a.b-c_d", "x'y\"z", "$HOME", "a&b;c", strings.Repeat("x", 200), "résumé", "DECISION", "a.", "(1)"} {
		err := CheckName(n)
		if n == "a." { // ends with a dot
			if err == nil {
				t.Errorf("CheckName(%q) accepts", n)
			}
			continue
		}
		if err != nil {
			t.Errorf("CheckName(%q) = %v", n, err)
		}
	}
	for _, n := range []string{"", ".", "..", "a/b", "\xff", "syft.pub.yaml", "Syft.Pub.YAML", "syftperm.yaml", "node_modules", "__pycache__", "e\u0301"} {
		if err := CheckName(n); !errors.Is(err, ErrName) {
			t.Errorf("CheckName(%q) = %v", n, err)
		}
	}
}

// TestFold: every letter folds to what its other cases fold to, and what is folded stays so.
func TestFold(t *testing.T) {
	for r := rune(1); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		folded := Fold(string(r))
		if Fold(folded) != folded {
			t.Errorf("folding %q twice differs", r)
		}
		if other := unicode.ToUpper(r); unicode.ToLower(other) == r && Fold(string(other)) != folded {
			t.Errorf("%q and %q fold to %q and %q", r, other, folded, Fold(string(other)))
		}
	}
}

func FuzzCheckName(f *testing.F) {
	for _, n := range []string{"a", "\uab98", "a\nb", "é", "e\u0301", "-rf", "\u202e", "job[1]"} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, n string) {
		if CheckName(n) != nil {
			return
		}
		if !utf8.ValidString(n) || len(n) > 200 || strings.ContainsAny(n, "/*?[]{}!\\\x00\n") || strings.ContainsFunc(n, unicode.IsControl) || strings.Trim(n, " .") != n || n[0] == '-' {
			t.Errorf("%q is accepted", n)
		}
		if Fold(Fold(n)) != Fold(n) {
			t.Errorf("folding %q twice differs", n)
		}
		if CheckPath(n) != nil {
			t.Errorf("%q is a name, but no path", n)
		}
	})
}

func TestCheckPath(t *testing.T) {
	for p, ok := range map[string]bool{
		"main.py": true, "lib/Überblick – 概要.txt": true, ".hidden": true, "a b": true, strings.Repeat("d/", 31) + "x": true,
		"": false, "/a": false, "a/": false, "a//b": false, "./a": false, "a/../b": false, "..": false, "a\nb": false, "a\x7f": false, "a\u0085b": false, "\xff": false,
		strings.Repeat("d/", 32) + "x": false, strings.Repeat("x", 256): false, strings.Repeat(strings.Repeat("x", 200)+"/", 5) + strings.Repeat("x", 20): false,
	} {
		err := CheckPath(p)
		if (err == nil) != ok || (err != nil && !errors.Is(err, ErrPath)) {
			t.Errorf("CheckPath(%q) = %v", p, err)
		}
	}
}

func TestManifest(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s), Mode: 0o644} }
	fsys := fstest.MapFS{
		"config.yaml": file("c"), "run.sh": file("rr"), "code/main.py": file("mmm"), "code/lib/é.py": file(""), "code/.env": file("x"),
		// what does not count
		"syft.pub.yaml": file("x"), "code/syft.pub.yaml": file("x"), "code/lib/syftperm.yaml": file("x"), "code/outputs/old.csv": file("x"),
		"code/.venv/bin/python": file("x"), "code/.git/HEAD": file("x"), "code/a/__pycache__/b.pyc": file("x"), "code/.DS_Store": file("x"), "notes.txt": file("x"),
		"outputs/x": file("x"), "code2/x": file("x"),
	}
	got, err := ReadManifest(t.Context(), fsys)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range got {
		lines = append(lines, fmt.Sprintf("%d %s", f.Size, f.Path))
	}
	if diff := cmp.Diff([]string{"1 code/.env", "0 code/lib/é.py", "3 code/main.py", "1 config.yaml", "2 run.sh"}, lines); diff != "" {
		t.Error(diff)
	}
	// Computed with another program: the SHA-256 of "1 <sha256 of x> code/.env\n0 <of nothing> code/lib/é.py\n3 <of mmm> code/main.py\n1 <of c> config.yaml\n2 <of rr> run.sh\n".
	const want = Digest("sha256:e69fb28a741f360eb8f0884437a827ad437e79b6358ebefe7dbc2f46c8f83f43")
	if d := DigestOf(got); d != want {
		t.Errorf("digest %s, want %s", d, want)
	}
}

func TestManifestRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		fsys func(dir string) iofs.FS
		want error
	}{
		"a link": {func(dir string) iofs.FS { return link(t, dir, "/etc/passwd", "code") }, ErrKind},
		"a FIFO": {func(dir string) iofs.FS {
			if err := unix.Mkfifo(dir+"/run.sh", 0o600); err != nil {
				t.Fatal(err)
			}
			return os.DirFS(dir)
		}, ErrKind},
		"too many files": {func(string) iofs.FS {
			m := fstest.MapFS{}
			for i := range MaxFiles + 1 {
				m[fmt.Sprintf("code/%d", i)] = &fstest.MapFile{}
			}
			return m
		}, ErrTooBig},
		"too many folders": {func(string) iofs.FS {
			m := fstest.MapFS{}
			for i := range MaxFiles + 1 {
				m[fmt.Sprintf("code/%d", i)] = &fstest.MapFile{Mode: iofs.ModeDir | 0o755}
			}
			return m
		}, ErrTooBig},
		"too many bytes": {func(dir string) iofs.FS {
			for _, n := range []string{"a", "b"} {
				if err := errors.Join(os.MkdirAll(dir+"/code", 0o755), os.WriteFile(dir+"/code/"+n, nil, 0o644), os.Truncate(dir+"/code/"+n, MaxBytes/2+1)); err != nil {
					t.Fatal(err)
				}
			}
			return os.DirFS(dir)
		}, ErrTooBig},
		"a control character": {func(string) iofs.FS { return fstest.MapFS{"code/a\nb": &fstest.MapFile{}} }, ErrPath},
		"cancelled":           {func(string) iofs.FS { return fstest.MapFS{"run.sh": &fstest.MapFile{}} }, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if name == "cancelled" {
				cancel()
			}
			sub := dir + "/" + strings.ReplaceAll(name, " ", "-")
			if err := os.MkdirAll(sub, 0o755); err != nil {
				t.Fatal(err)
			}
			if got, err := ReadManifest(ctx, c.fsys(sub)); !errors.Is(err, c.want) {
				t.Errorf("got %d files, %v", len(got), err)
			}
		})
	}
}

func link(t *testing.T, dir, target, name string) iofs.FS {
	t.Helper()
	if err := os.Symlink(target, dir+"/"+name); err != nil {
		t.Fatal(err)
	}
	return os.DirFS(dir)
}

// The digest does not depend on the order, and every part of every line changes it.
func TestDigestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) File {
			f := File{Path: rapid.StringMatching(`[a-z]{1,3}(/[a-z]{1,3}){0,2}`).Draw(t, "path"), Size: int64(rapid.IntRange(0, 9).Draw(t, "size"))}
			f.Hash[0] = byte(rapid.IntRange(0, 2).Draw(t, "hash"))
			return f
		}), 1, 6, func(f File) string { return f.Path }).Draw(t, "files")
		d := DigestOf(files)
		if got := DigestOf(rapid.Permutation(files).Draw(t, "order")); got != d {
			t.Fatalf("another order gives %s, not %s", got, d)
		}
		other := append([]File(nil), files...)
		i := rapid.IntRange(0, len(files)-1).Draw(t, "which")
		switch rapid.IntRange(0, 3).Draw(t, "what") {
		case 0:
			other[i].Size++
		case 1:
			other[i].Hash[31]++
		case 2:
			other[i].Path += "x"
		case 3:
			other = append(other[:i:i], other[i+1:]...)
		}
		if DigestOf(other) == d {
			t.Fatalf("%v and %v have one digest", files, other)
		}
	})
}

func TestEntrypoint(t *testing.T) {
	file := &fstest.MapFile{}
	for name, c := range map[string]struct {
		files []string
		given string
		want  string
		err   error
	}{
		"main.py":               {[]string{"a.py", "main.py", "z.py"}, "", "main.py", nil},
		"the only one":          {[]string{"a.py", "data.csv", "lib/b.py"}, "", "a.py", nil},
		"none":                  {[]string{"lib/b.py", "a.txt"}, "", "", ErrNoEntrypoint},
		"two":                   {[]string{"a.py", "b.py"}, "", "", ErrNoEntrypoint},
		"given":                 {[]string{"a.py", "src/b.py"}, "src/b.py", "src/b.py", nil},
		"given, missing":        {[]string{"a.py"}, "b.py", "", iofs.ErrNotExist},
		"given, a folder":       {[]string{"b.py/x"}, "b.py", "", ErrNoEntrypoint},
		"given, not .py":        {[]string{"a.sh"}, "a.sh", "", ErrNoEntrypoint},
		"given, climbing":       {[]string{"a.py"}, "../a.py", "", ErrPath},
		"a blank in the name":   {[]string{"my script.py"}, "", "", ErrPath},
		"a shell in the name":   {[]string{"a;reboot.py"}, "", "", ErrPath},
		"given, a substitution": {[]string{"$(id).py"}, "$(id).py", "", ErrPath},
		"a dash":                {[]string{"-c.py"}, "", "", ErrPath},
		"letters of others":     {[]string{"überblick.py"}, "", "überblick.py", nil},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{}
			for _, f := range c.files {
				fsys[f] = file
			}
			got, err := Entrypoint(fsys, c.given)
			if !errors.Is(err, c.err) || (err == nil && got != c.want) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	for d, ok := range map[string]bool{"pandas==2.2.3": true, "a[b]>=1,<2; python_version>'3'": true, "": false, `a"; rm`: false, "$(id)": false, "`id`": false, `a\`: false, "a\nb": false} {
		if err := CheckDependency(d); (err == nil) != ok {
			t.Errorf("CheckDependency(%q) = %v", d, err)
		}
	}
}
