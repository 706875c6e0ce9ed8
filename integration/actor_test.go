package integration

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// An actor is a child process that uses files in a mount as a person's programs do: this test binary, started again. It does one
// call at a time and answers with the errno, and keeps files open between calls.
const actorEnv = "SYFTFS_TEST_ACTOR"

type call struct {
	Op    string
	Path  string
	To    string
	Flags int
	Mode  uint32
	File  int
	Off   int64
	Data  []byte
	N     int
}

type reply struct {
	Errno string
	File  int
	Data  []byte
	Names []string // of a folder's entries, or of those that a watcher was told of
	Mode  uint32
	Size  int64
}

// serveActor is the child's side: calls on standard input, replies on standard output, a line of JSON each.
func serveActor() int {
	files := map[int]int{}
	next := 1
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	out := json.NewEncoder(os.Stdout)
	unix.Umask(0o022)
	for {
		var c call
		if err := in.Decode(&c); err != nil {
			if errors.Is(err, io.EOF) {
				return 0
			}
			fmt.Fprintln(os.Stderr, "actor:", err)
			return 1
		}
		var r reply
		err := act(c, &r, files, &next)
		if errno, ok := errors.AsType[unix.Errno](err); ok {
			r.Errno = unix.ErrnoName(errno)
		} else if err != nil {
			r.Errno = err.Error()
		}
		if err := out.Encode(r); err != nil {
			fmt.Fprintln(os.Stderr, "actor:", err)
			return 1
		}
	}
}

func act(c call, r *reply, files map[int]int, next *int) error {
	switch c.Op {
	case "open":
		fd, err := unix.Open(c.Path, c.Flags|unix.O_CLOEXEC, c.Mode)
		if err != nil {
			return err
		}
		r.File, files[*next] = *next, fd
		*next++
		return nil
	case "read":
		b := make([]byte, c.N)
		n, err := unix.Pread(files[c.File], b, c.Off)
		r.Data = b[:max(n, 0)]
		return err
	case "write":
		_, err := unix.Pwrite(files[c.File], c.Data, c.Off)
		return err
	case "truncate":
		return unix.Truncate(c.Path, c.Off)
	case "fsync":
		return unix.Fsync(files[c.File])
	case "close":
		defer delete(files, c.File)
		return unix.Close(files[c.File])
	case "mkdir":
		return unix.Mkdir(c.Path, c.Mode)
	case "rename":
		return unix.Rename(c.Path, c.To)
	case "unlink":
		return unix.Unlink(c.Path)
	case "rmdir":
		return unix.Rmdir(c.Path)
	case "symlink":
		return unix.Symlink(c.To, c.Path)
	case "link":
		return unix.Link(c.Path, c.To)
	case "chmod":
		return unix.Chmod(c.Path, c.Mode)
	case "stat":
		var st unix.Stat_t
		err := unix.Lstat(c.Path, &st)
		r.Mode, r.Size = st.Mode, st.Size
		return err
	case "readdir":
		f, err := os.Open(c.Path)
		if err != nil {
			return err
		}
		defer f.Close()
		r.Names, err = f.Readdirnames(-1)
		slices.Sort(r.Names)
		return err
	case "readfile":
		var err error
		r.Data, err = os.ReadFile(c.Path)
		return err
	case "writefile":
		return os.WriteFile(c.Path, c.Data, os.FileMode(c.Mode))
	case "getxattr":
		b := make([]byte, 64<<10)
		n, err := unix.Getxattr(c.Path, c.To, b)
		r.Data = b[:max(n, 0)]
		return err
	case "watch":
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		if err != nil {
			return err
		}
		r.File, files[*next] = *next, fd
		*next++
		_, err = unix.InotifyAddWatch(fd, c.Path, uint32(c.Flags))
		return err
	case "events":
		return readEvents(files[c.File], r)
	case "row":
		return answerRow(c, r)
	}
	return fmt.Errorf("unknown call %q", c.Op)
}

// readEvents gives the names that a watcher was told of since the last call.
func readEvents(fd int, r *reply) error {
	b := make([]byte, 64<<10)
	n, err := unix.Read(fd, b)
	if errors.Is(err, unix.EAGAIN) {
		return nil
	}
	for at := 0; err == nil && at+unix.SizeofInotifyEvent <= n; {
		size := int(binary.NativeEndian.Uint32(b[at+12:]))
		at += unix.SizeofInotifyEvent
		r.Names = append(r.Names, strings.TrimRight(string(b[at:at+size]), "\x00"))
		at += size
	}
	return err
}

// actor is the test's side.
type actor struct {
	t   testing.TB
	mu  sync.Mutex
	in  *json.Encoder
	out *json.Decoder
}

// newActor starts a child as the person of h.
func (h *host) newActor(t testing.TB) *actor {
	t.Helper()
	cmd := h.command(h.self)
	cmd.Env = append(cmd.Env, actorEnv+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				t.Errorf("actor: %v", err)
			}
		}
	})
	return &actor{t: t, in: json.NewEncoder(in), out: json.NewDecoder(out)}
}

// do makes one call and gives the reply; Errno is "" when it succeeded.
func (a *actor) do(c call) reply {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	var r reply
	if err := a.in.Encode(c); err != nil {
		a.t.Fatalf("actor: %v", err)
	}
	if err := a.out.Decode(&r); err != nil {
		a.t.Fatalf("actor %+v: %v", c, err)
	}
	return r
}

// ok makes a call that must succeed.
func (a *actor) ok(c call) reply {
	a.t.Helper()
	r := a.do(c)
	if r.Errno != "" {
		a.t.Fatalf("%s %s %s: %s", c.Op, c.Path, c.To, r.Errno)
	}
	return r
}

// want makes a call that must end with this errno ("" for success).
func (a *actor) want(errno string, c call) {
	a.t.Helper()
	if r := a.do(c); r.Errno != errno {
		a.t.Errorf("%s %s %s: %q, want %q", c.Op, c.Path, c.To, r.Errno, errno)
	}
}

func (a *actor) read(path string) string { return string(a.ok(call{Op: "readfile", Path: path}).Data) }

func (a *actor) write(path, text string) {
	a.t.Helper()
	a.ok(call{Op: "writefile", Path: path, Data: []byte(text), Mode: 0o644})
}

func (a *actor) mkdir(path string) {
	a.t.Helper()
	a.ok(call{Op: "mkdir", Path: path, Mode: 0o755})
}
