package fusetree

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/openmined/syftfs/fs/guard"
	"golang.org/x/sys/unix"
)

// argHelper is the first argument by which our own binary, started again, knows its part. No command is called like that.
const argHelper = "//fusetree.helper"

// Main plays the part of the helper if args says so, and reports whether it did. A program that has changes done through a mount calls it
// before anything else in main, a test binary in TestMain, and exits with code if it was handled.
func Main(args []string) (handled bool, code int) {
	if len(args) < 2 || args[1] != argHelper {
		return false, 0
	}
	if err := help(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "helper:", err)
		return true, 1
	}
	return true, 0
}

// call is a line of the gate for the helper: one system call. The answer is a line with the errno, 0 for none. Before the first line the
// helper says from which thread its calls come.
type call struct {
	Call guard.Call
	Path string
	From string `json:",omitempty"` // CallRename: the old name
}

// help is the whole life of the helper. It ends with its input, and with the thread that started it.
func help(in io.Reader, out io.Writer) error {
	runtime.LockOSThread()
	if _, err := fmt.Fprintln(out, unix.Gettid()); err != nil {
		return err
	}
	for lines := json.NewDecoder(in); ; {
		var c call
		if err := lines.Decode(&c); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		errno := syscall.Errno(0)
		if err := c.do(); err != nil && !errors.As(err, &errno) {
			return err
		}
		if _, err := fmt.Fprintln(out, int(errno)); err != nil {
			return err
		}
	}
}

func (c call) do() error {
	for {
		var err error
		switch c.Call {
		case guard.CallRename:
			err = unix.Rename(c.From, c.Path)
		case guard.CallUnlink:
			err = unix.Unlink(c.Path)
		case guard.CallMkdir:
			err = unix.Mkdir(c.Path, 0o700)
		case guard.CallRmdir:
			err = unix.Rmdir(c.Path)
		default:
			err = unix.ENOSYS
		}
		if err != unix.EINTR {
			return err
		}
	}
}

// helper is a running helper, as the process that serves the mount sees it.
type helper struct {
	tid     uint32
	cmd     *exec.Cmd
	in      io.WriteCloser
	numbers chan int      // its lines; closed at their end
	stop    chan struct{} // closed by end: nobody reads numbers any more
	gone    chan struct{} // closed when it was waited for
}

// startHelper starts one. It uses nothing of the mount before it is asked to, and ends with this process.
func startHelper(ctx context.Context, quit <-chan struct{}) (*helper, error) {
	h := &helper{cmd: exec.Command("/proc/self/exe", argHelper), numbers: make(chan int), stop: make(chan struct{}), gone: make(chan struct{})}
	h.cmd.Dir, h.cmd.Env = "/", []string{"GOMAXPROCS=1"}
	// A group of its own: an interrupt from the terminal is for this process, which ends the helper when it is not needed any more.
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	in, err := h.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	h.in = in
	started := make(chan error, 1)
	go func() { // ended by end
		runtime.LockOSThread() // for good: the signal at the death of the parent follows the thread
		defer close(h.gone)
		defer close(h.numbers)
		if err := h.cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		for {
			var n int
			if _, err := fmt.Fscanln(out, &n); err != nil {
				break
			}
			select {
			case h.numbers <- n:
			case <-h.stop:
			}
		}
		// How it ended does not matter: the gate does without it.
		_ = h.cmd.Wait()
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(fmt.Errorf("start the helper: %w", noErrno(err)), in.Close())
	}
	tid, err := h.answer(ctx, quit)
	if err != nil {
		h.end()
		return nil, err
	}
	h.tid = uint32(tid)
	return h, nil
}

// noErrno hides the errno of an error that is not the answer to a call.
func noErrno(err error) error { return errors.New(err.Error()) }

func (h *helper) answer(ctx context.Context, quit <-chan struct{}) (int, error) {
	select {
	case n, ok := <-h.numbers:
		if !ok {
			return 0, errNoHelper
		}
		return n, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-quit:
		return 0, errNoHelper
	}
}

// do has one call made. An errno is its answer.
func (h *helper) do(ctx context.Context, quit <-chan struct{}, c call) error {
	if err := json.NewEncoder(h.in).Encode(c); err != nil {
		return fmt.Errorf("ask the helper: %w", noErrno(err))
	}
	n, err := h.answer(ctx, quit)
	if err == nil && n != 0 {
		err = syscall.Errno(n)
	}
	return err
}

// end ends it and waits.
func (h *helper) end() {
	close(h.stop)
	_ = h.cmd.Process.Kill() // it may be gone already
	_ = h.in.Close()
	<-h.gone
}
