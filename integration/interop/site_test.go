//go:build interop

package interop

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// site is a datasite of this program, mounted and exchanging over a drive.
type site struct {
	*machine
	email string
	log   record
}

func newSite(t testing.TB, d *drive, email string) *site {
	t.Helper()
	s := &site{machine: newMachine(t), email: email}
	s.ok("init", "--email", email, "--drive", "local:"+d.url, "--token", d.tokens[email])
	cmd := s.command(s.program, "up")
	cmd.Stderr = &s.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if out, err := s.command(s.program, "down").CombinedOutput(); err != nil {
			t.Errorf("syftfs down: %v: %s", err, out)
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("syftfs up: %v", err)
		}
		if err := unix.Unmount(s.path("SyftBox"), unix.MNT_DETACH); !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) && os.Geteuid() == 0 {
			t.Errorf("the mount of %s was left: %v", email, err)
		}
		if t.Failed() {
			t.Logf("the datasite of %s logged:\n%s", email, &s.log)
		}
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(line, "Up:") {
		t.Fatalf("syftfs up says %q: %v", line, err)
	}
	return s
}

// in is a path in a datasite in the mount.
func (s *site) in(datasite string, parts ...string) string {
	return s.path(append([]string{"SyftBox", datasite}, parts...)...)
}

func (s *site) read(file string) string {
	s.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// sh does what a person does in a shell, with $1, $2 ...
func (s *site) sh(line string, args ...string) {
	s.t.Helper()
	if out, err := s.command("sh", append([]string{"-c", line, "sh"}, args...)...).CombinedOutput(); err != nil {
		refused, _ := os.ReadFile(s.path("SyftBox", ".syft", "last-error"))
		s.t.Fatalf("%s %q: %v: %s%s", line, args, err, out, refused)
	}
}

// isPeer is nil when an address is a peer in a state, by command and in the mount.
func (s *site) isPeer(email, state string) error {
	list, err := tell[[]struct {
		Address, State, Note, Next string
		Queued                     bool
	}](s.machine, "peers", "list")
	if err != nil {
		return err
	}
	for _, p := range list {
		if p.Address == email && p.State == state && !p.Queued {
			_, err := os.Stat(s.path("SyftBox", ".syft", "peers", state, email))
			return err
		}
	}
	return fmt.Errorf("the peers are %+v", list)
}

// job is what `job show` tells, as far as the stories look.
type job struct {
	Name, Submitter, Status, Digest, Message string
	Notes                                    []string
}

func (s *site) untilJob(by, name, status string) job {
	s.t.Helper()
	var j job
	until(s.t, "job "+name+" "+status, func() (err error) {
		if j, err = tell[job](s.machine, "job", "show", by+"/"+name); err != nil {
			return err
		}
		if j.Status != status {
			return fmt.Errorf("it is %s: %s %q", j.Status, j.Message, j.Notes)
		}
		return nil
	})
	return j
}
