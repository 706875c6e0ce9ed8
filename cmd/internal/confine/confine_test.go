package confine

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// place makes a view, a mount point and a secret in a temporary folder.
func place(t *testing.T) (p Plan, secret string) {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"view/sub", "mount/sub", "mount/hidden", "state/deep", "elsewhere"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	secret = filepath.Join(root, "state/deep/token")
	for name, text := range map[string]string{secret: "secret", filepath.Join(root, "view/shown"): "shown"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Plan{View: filepath.Join(root, "view"), Mount: filepath.Join(root, "mount"), Dir: root, Env: os.Environ(), In: strings.NewReader(""),
		Cover: []string{filepath.Join(root, "state"), filepath.Join(root, "state/deep"), filepath.Join(root, "not there"), secret}}, secret
}

func run(t *testing.T, p Plan, command ...string) (status int, said string) {
	t.Helper()
	var out strings.Builder
	p.Command, p.Out, p.Err = command, &out, &out
	status, err := Run(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return status, strings.TrimSpace(out.String())
}

func TestWhatACommandFinds(t *testing.T) {
	p, secret := place(t)
	quiet := " 2>/dev/null"
	for name, c := range map[string]struct {
		script string
		status int
		said   string
	}{
		"the view at the mount":       {"cat " + p.Mount + "/shown", 0, "shown"},
		"nothing of the mount itself": {"ls " + p.Mount, 0, "shown\nsub"},
		"no secret":                   {"cat " + secret + quiet, 1, ""},
		"an empty cover":              {"ls -A " + p.Cover[0], 0, ""},
		"a cover that stays":          {"! umount " + p.Cover[0] + quiet, 0, ""},
		"also for another's root":     {"! unshare -Urm umount " + p.Cover[0] + quiet, 0, ""},
		"a cover that takes nothing":  {"touch " + p.Cover[0] + "/x" + quiet, 1, ""},
		"itself as the first":         {"cat /proc/1/comm", 0, "bwrap"},
		"its own status":              {"exit 9", 9, ""},
		"its own signal":              {"kill -KILL $$", 137, ""},
		"its input":                   {"cat", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if status, said := run(t, p, "sh", "-c", c.script); status != c.status || said != c.said {
				t.Errorf("status %d, said %q; want %d, %q", status, said, c.status, c.said)
			}
		})
	}
}

func TestWhereACommandStarts(t *testing.T) {
	p, _ := place(t)
	for dir, want := range map[string]string{
		filepath.Join(p.Mount, "sub"):                      filepath.Join(p.Mount, "sub"),
		filepath.Join(p.Mount, "hidden"):                   p.Mount,
		p.Cover[1]:                                         p.Mount,
		filepath.Join(p.View, "../elsewhere/../elsewhere"): filepath.Join(filepath.Dir(p.View), "elsewhere"),
	} {
		p.Dir = filepath.Clean(dir)
		if _, said := run(t, p, "pwd"); said != want {
			t.Errorf("from %s: %s, want %s", dir, said, want)
		}
	}
}

func TestCannotRun(t *testing.T) {
	p, secret := place(t)
	for name, c := range map[string]struct {
		command string
		status  int
	}{"not there": {"no-such-program", NotFound}, "not executable": {secret, NotExecutable}} {
		p.Command, p.Out, p.Err = []string{c.command}, io.Discard, io.Discard
		if status, err := Run(p, nil); status != c.status || err == nil {
			t.Errorf("%s: status %d, %v", name, status, err)
		}
	}
	p.Command, p.Mount = []string{"true"}, "/no/such/place/at/all"
	if status, err := Run(p, nil); status != NotSetUp || err == nil {
		t.Errorf("no place for the view: status %d, %v", status, err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Run(p, nil); !errors.Is(err, ErrMachine) || !strings.Contains(err.Error(), "apt-get install bubblewrap") {
		t.Errorf("without bubblewrap: %v", err)
	}
}

func TestEndsWithTheView(t *testing.T) {
	p, _ := place(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p.Command, p.Out, p.Err = []string{"sh", "-c", "echo begun; exec sleep 1000"}, w, io.Discard
	gone, ended := make(chan struct{}), make(chan int, 1)
	go func() {
		status, err := Run(p, gone)
		if err != nil {
			t.Error(err)
		}
		ended <- status
	}()
	if _, err := r.Read(make([]byte, 5)); err != nil { // it runs
		t.Fatal(err)
	}
	close(gone)
	if status := <-ended; status != 143 {
		t.Errorf("status %d, want that of a SIGTERM", status)
	}
	w.Close()
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 1 { // nobody holds the other end any more
		t.Errorf("%q, %v", rest, err)
	}
}

// TestTerminalFilter: a command cannot put characters into the input of its terminal, while other requests pass.
func TestTerminalFilter(t *testing.T) {
	p, _ := place(t)
	const ask = `import fcntl, termios, errno
for name, request in ("TIOCSTI", termios.TIOCSTI), ("TIOCSTI with high bits", termios.TIOCSTI | 1 << 32), ("TIOCLINUX", 0x541c), ("TIOCGWINSZ", termios.TIOCGWINSZ):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ioctl(ctypes.c_int(0), ctypes.c_ulong(request), b"\0" * 16)
    print(name, errno.errorcode[ctypes.get_errno()])`
	_, said := run(t, p, "python3", "-c", ask)
	want := "TIOCSTI EPERM\nTIOCSTI with high bits EPERM\nTIOCLINUX EPERM\nTIOCGWINSZ ENOTTY"
	if said != want {
		t.Errorf("%s\nwant\n%s", said, want)
	}
}

func TestCovers(t *testing.T) {
	p, _ := place(t)
	link := filepath.Join(filepath.Dir(p.View), "link")
	if err := os.Symlink(p.Cover[0], link); err != nil {
		t.Fatal(err)
	}
	p.Cover = append(p.Cover, link, filepath.Join(p.Mount, "sub"))
	real, err := filepath.EvalSymlinks(p.Cover[0])
	if err != nil {
		t.Fatal(err)
	}
	if got := p.covers(); !slices.Equal(got, []string{real}) {
		t.Errorf("%q, want %q alone", got, real)
	}
	if _, err := exec.LookPath("bwrap"); err != nil {
		t.Fatal("the tests need bubblewrap:", err)
	}
}
