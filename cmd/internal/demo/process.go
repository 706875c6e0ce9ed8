package demo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// maxDaemons is how many children a story starts at most.
const maxDaemons = 3

// daemon is `syftfs up` or `syftfs drive serve`, a child that ends when we do, however we end.
type daemon struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it ended
	err  error         // valid after done
	log  tail
}

// tail keeps the last of what the daemon said.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.buf.Len() < 64<<10 {
		t.buf.Write(p)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// up starts a person's datasite and waits until it says that it is up.
func (s *story) up(ctx context.Context, p *person) error {
	return s.start(ctx, p, "Up:", "up")
}

// start starts a command of this program that goes on, and waits until its first line begins with ready.
func (s *story) start(ctx context.Context, p *person, ready string, args ...string) error {
	p.say("syftfs " + quoted(args))
	d := &daemon{name: p.name + "'s syftfs " + args[0], done: make(chan struct{})}
	cmd := exec.Command(s.o.Self, args...)
	cmd.Dir, cmd.Env = p.home, p.environ()
	cmd.Stderr = &d.log
	cmd.WaitDelay = 5 * time.Second
	// A child of its own session does not get the terminal's Ctrl-C: we end it in order. If we are killed the kernel tells it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	r, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	d.cmd = cmd
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the death signal follows the thread that started the child
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		d.err = cmd.Wait()
		close(d.done)
		s.ended <- d
	}()
	first := make(chan string, 1)
	if err := <-started; err != nil {
		return err
	}
	s.daemons = append(s.daemons, d)
	go func() {
		b := bufio.NewReader(r)
		line, _ := b.ReadString('\n') // an empty line: it ended before it was up
		first <- line
		_, _ = io.Copy(io.Discard, b) // it says nothing more that the story needs; its end is in done
	}()
	select {
	case line := <-first:
		if !strings.HasPrefix(line, ready) {
			<-d.done
			return fmt.Errorf("%s: %s: %w", d.name, strings.TrimSpace(d.log.String()), orEnded(d.err))
		}
		p.show(line)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func orEnded(err error) error {
	if err == nil {
		return errors.New("it ended by itself")
	}
	return err
}

// end stops what was started in order, the last first, by force if need be, and removes the workplace.
func (s *story) end() error {
	var errs []error
	for _, d := range slices.Backward(s.daemons) {
		errs = append(errs, d.end())
	}
	return errors.Join(append(errs, remove(s.dir))...)
}

func (d *daemon) end() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-d.done:
	case <-time.After(patience):
		err := fmt.Errorf("%s did not end within %s: %s", d.name, patience, d.log.String())
		return errors.Join(err, d.cmd.Process.Kill())
	}
	if d.err != nil {
		return fmt.Errorf("%s: %w: %s", d.name, d.err, strings.TrimSpace(d.log.String()))
	}
	return nil
}
