package demo

import (
	"bytes"
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/integration/mountns"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFold(t *testing.T) {
	word := strings.Repeat("x", 60)
	long := strings.Repeat("y", 200)
	for _, c := range []struct {
		name, line string
		want       []string
	}{
		{"nothing", "", []string{""}},
		{"short", "a b", []string{"a b"}},
		{"just fits", strings.Repeat("z", width), []string{strings.Repeat("z", width)}},
		{"two lines", word + " " + word + " " + word, []string{word + " " + word, "    " + word}},
		{"a long word", long, []string{long[:width] + " ..."}},
		{"a long word after others", "a " + long, []string{"a", "    " + long[:width-4] + " ..."}},
		{"an indented long word", "   " + long, []string{"   " + long[:width-3] + " ..."}},
		{"a letter at the edge", strings.Repeat("x", width-1) + "é and more", []string{strings.Repeat("x", width-1) + " ..."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, fold(c.line)); d != "" {
				t.Error(d)
			}
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.StringMatching(`[a-zé \[]{0,400}`).Draw(t, "line")
		for _, p := range fold(line) {
			if len(p) > width+4 || !utf8.ValidString(p) {
				t.Fatalf("%q is %d bytes", p, len(p))
			}
		}
	})
}

func TestQuoted(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, ""},
		{[]string{"users", "create", "--name", "Dr. Rachel Science", "--email", "rachel@datascience.example"}, "users create --name 'Dr. Rachel Science' --email rachel@datascience.example"},
		{[]string{"it's"}, `'it'\''s'`},
		{[]string{""}, "''"},
		{[]string{"$HOME", "a;b", "*"}, "'$HOME' 'a;b' '*'"},
	} {
		if got := quoted(c.args); got != c.want {
			t.Errorf("%q: %s, want %s", c.args, got, c.want)
		}
	}
}

// TestWhatIsShownCanBeTyped: a shell that is given the line gets the arguments back.
func TestWhatIsShownCanBeTyped(t *testing.T) {
	args := []string{"a b", "it's", `"quoted"`, "$HOME", "`id`", "a\nb", "*", "?", "~", "", "x;y", "a|b", "#c", "!d", `\e`, "=f", "(g)", "{h,i}", "[j]", "<k>", "l&", "é", "m=n,o:p/q@r-s_t.u+v", "%", "^"}
	out, err := exec.Command("sh", "-c", `printf '%s\0' `+quoted(args)).Output()
	must(t, err)
	if d := cmp.Diff(args, strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")); d != "" {
		t.Error(d)
	}
}

func TestTyped(t *testing.T) {
	for _, c := range []struct {
		script string
		args   []string
		want   string
	}{
		{`echo "$2" > "$1"`, []string{"/a/f", "hello world"}, `echo 'hello world' > /a/f`},
		{`mkdir -p "$(dirname "$1")" && echo "$2" > "$1"`, []string{"/a b/f", "x"}, `mkdir -p '/a b' && echo x > '/a b/f'`},
		{`echo "$1" "$10"`, []string{"one", "", "", "", "", "", "", "", "", "ten"}, `echo one ten`},
		{`echo "$1" "$2"`, []string{`say "$2"`, "two"}, `echo 'say "$2"' two`},
		{`ls`, nil, `ls`},
	} {
		if got := typed(c.script, c.args); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
}

func TestStatusOf(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "",
		"status: pending\n":                    "pending",
		"job: x\nstatus:   done\nnext: look\n": "done",
		"status: failed: timeout\n":            "failed",
		"status: draft":                        "draft",
		"the status: done\n":                   "",
		"status:\n":                            "",
	} {
		if got := statusOf(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		"/plain": "/plain", `/a\040b`: "/a b", `/a\011\012\134`: "/a\t\n\\", `\040`: " ", `/x\04`: `/x\04`, `/x\999`: `/x\999`, `/x\777`: `/x\777`, `/\303\251`: "/é", `\`: `\`,
	} {
		if got := unescape(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

// TestShow: paths are shown as the person would write them, and a long answer is cut.
func TestShow(t *testing.T) {
	var out bytes.Buffer
	s := &story{o: Options{Out: &out}, dir: "/tmp/demo/run-1"}
	p := s.person("owen", owenEmail)
	s.rachel = s.person("rachel", rachelEmail)
	p.show("")
	p.show("/tmp/demo/run-1/owen/SyftBox/x\n/tmp/demo/run-1/rachel/y\n")
	if want := margin + "~/SyftBox/x\n" + margin + "/home/rachel/y\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	out.Reset()
	p.show(strings.Repeat("line\n", 100))
	if got := out.String(); strings.Count(got, "\n") != 41 || !strings.HasSuffix(got, margin+"... 60 lines more\n") {
		t.Errorf("%q", got)
	}
}

func TestRefusedAndNo(t *testing.T) {
	s := &story{o: Options{Out: io.Discard, Self: "/bin/false"}, dir: t.TempDir()}
	p := s.person("owen", owenEmail)
	p.home = s.dir
	ctx := t.Context()
	must(t, p.refused(ctx, "No such file or directory", "cat", filepath.Join(s.dir, "none")))
	must(t, p.unchanged(ctx, filepath.Join(s.dir, "none")))
	must(t, p.no(ctx, "why"))
	for name, err := range map[string]error{
		"refused for another reason": p.refused(ctx, "Permission denied", "cat", filepath.Join(s.dir, "none")),
		"not refused":                p.refused(ctx, "", "true"),
		"no such program":            p.refused(ctx, "", filepath.Join(s.dir, "none")),
		"another exit status":        func() error { s.o.Self = "/bin/sh"; return p.no(ctx, "-c", "exit 2") }(),
		"yes":                        func() error { s.o.Self = "/bin/true"; return p.no(ctx) }(),
	} {
		if err == nil {
			t.Errorf("%s: taken as it should be", name)
		}
	}
}

// workplaceIn makes a workplace below a temporary folder of its own and tells what was said.
func workplaceIn(t *testing.T, tmp string) (string, func() error, string, error) {
	t.Helper()
	t.Setenv("TMPDIR", tmp)
	var out bytes.Buffer
	dir, unlock, err := workplace(context.Background(), &out)
	return dir, unlock, out.String(), err
}

func topIn(tmp string) string { return filepath.Join(tmp, "syftfs-demo-"+strconv.Itoa(os.Getuid())) }

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	must(t, err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestWorkplace(t *testing.T) {
	tmp := t.TempDir()
	one, unlockOne, said, err := workplaceIn(t, tmp)
	must(t, err)
	info, err := os.Stat(one)
	must(t, err)
	if info.Mode().Perm() != 0o700 || filepath.Dir(one) != topIn(tmp) || said != "" {
		t.Errorf("%s %v, said %q", one, info.Mode(), said)
	}
	// A second run at the same time leaves the first alone.
	two, unlockTwo, said, err := workplaceIn(t, tmp)
	must(t, err)
	if _, err := os.Stat(one); err != nil || said != "" || two == one {
		t.Errorf("%v, said %q", err, said)
	}
	must(t, remove(two))
	must(t, unlockTwo())
	if got := names(t, topIn(tmp)); len(got) != 1 {
		t.Errorf("%v", got)
	}
	must(t, remove(one))
	must(t, unlockOne())
	if got := names(t, tmp); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
}

// TestWorkplaceSweepsWhatAKilledRunLeft: nothing is mounted there and nobody holds its lock.
func TestWorkplaceSweepsWhatAKilledRunLeft(t *testing.T) {
	tmp := t.TempDir()
	left := filepath.Join(topIn(tmp), "run-1")
	state := filepath.Join(left, "owen", ".state", "syftfs", "owen")
	must(t, os.MkdirAll(state, 0o700))
	for _, f := range []string{filepath.Join(left, lockName), filepath.Join(state, lockName), filepath.Join(left, "owen", "mock.csv")} {
		must(t, os.WriteFile(f, nil, 0o600))
	}
	must(t, os.Chmod(topIn(tmp), 0o700))
	dir, unlock, said, err := workplaceIn(t, tmp)
	must(t, err)
	if !strings.Contains(said, left) || !strings.Contains(said, "was killed") {
		t.Errorf("said %q", said)
	}
	if got := names(t, topIn(tmp)); len(got) != 1 || got[0] != filepath.Base(dir) {
		t.Errorf("%v", got)
	}
	must(t, remove(dir))
	must(t, unlock())
}

// TestSweepLeavesARunningDatasite: while a process holds the lock of a datasite there, nothing is taken away.
func TestSweepLeavesARunningDatasite(t *testing.T) {
	left := filepath.Join(t.TempDir(), "run-1")
	state := filepath.Join(left, "owen", ".state", "syftfs", "owen")
	must(t, os.MkdirAll(state, 0o700))
	f, err := os.OpenFile(filepath.Join(state, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	must(t, err)
	defer f.Close()
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = sweep(ctx, io.Discard, left)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "syftfs down") || !strings.Contains(err.Error(), left) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(state); err != nil {
		t.Error(err)
	}
	must(t, f.Close())
	must(t, sweep(t.Context(), io.Discard, left))
	if _, err := os.Stat(left); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestWorkplaceOfSomebodyElse(t *testing.T) {
	for name, plant := range map[string]func(top string) error{
		"others may look": func(top string) error { return errors.Join(os.Mkdir(top, 0o700), os.Chmod(top, 0o755)) },
		"a link":          func(top string) error { return os.Symlink(t.TempDir(), top) },
		"a file":          func(top string) error { return os.WriteFile(top, nil, 0o600) },
		"another owner": func(top string) error {
			if os.Getuid() != 0 { // only root can make one
				return errors.Join(os.Mkdir(top, 0o700), os.Chmod(top, 0o777))
			}
			u, err := mountns.Unprivileged()
			return errors.Join(err, os.Mkdir(top, 0o700), os.Chown(top, int(u.UID), int(u.GID)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			tmp := t.TempDir()
			must(t, plant(topIn(tmp)))
			_, _, _, err := workplaceIn(t, tmp)
			if err == nil || !strings.Contains(err.Error(), topIn(tmp)) || !strings.Contains(err.Error(), "remove it") {
				t.Errorf("%v", err)
			}
			if got := names(t, tmp); len(got) != 1 {
				t.Errorf("%v", got)
			}
		})
	}
}

// TestUnpack: the data that the story needs is in the program, whole.
func TestUnpack(t *testing.T) {
	s := &story{o: Options{Out: io.Discard}, dir: t.TempDir()}
	must(t, s.prepare())
	for _, f := range []string{"owen/breast-cancer/breast_cancer.csv", "owen/breast-cancer/README.md", "owen/mock.csv", "rachel/analysis/main.py"} {
		b, err := os.ReadFile(filepath.Join(s.dir, f))
		must(t, err)
		if len(b) == 0 {
			t.Errorf("%s is empty", f)
		}
	}
	rows := func(f string) int {
		b, err := os.ReadFile(filepath.Join(s.dir, f))
		must(t, err)
		return bytes.Count(b, []byte("\n"))
	}
	if real, mock := rows("owen/breast-cancer/breast_cancer.csv"), rows("owen/mock.csv"); real != 570 || mock != 61 {
		t.Errorf("%d and %d lines", real, mock)
	}
	if info, err := os.Stat(s.owen.home); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// TestDaemonThatDoesNotComeUp: what it said is told, and nothing waits.
func TestDaemonThatDoesNotComeUp(t *testing.T) {
	dir := t.TempDir()
	self := filepath.Join(dir, "self")
	for name, script := range map[string]string{"fails": "echo 'no fuse here' >&2; exit 10", "ends": "echo 'no fuse here' >&2", "says something else": "echo What; echo 'no fuse here' >&2"} {
		t.Run(name, func(t *testing.T) {
			must(t, os.WriteFile(self, []byte("#!/bin/sh\n"+script+"\n"), 0o700))
			s := &story{o: Options{Out: io.Discard, Self: self}, dir: dir, ended: make(chan *daemon, maxDaemons)}
			s.owen = s.person("owen", owenEmail)
			must(t, os.MkdirAll(s.owen.home, 0o700))
			if err := s.up(t.Context(), s.owen); err == nil || !strings.Contains(err.Error(), "no fuse here") {
				t.Errorf("%v", err)
			}
		})
	}
}
