package fusetree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrInUse is wrapped by the error of Close when programs went on using the mount until the end of its time.
var ErrInUse = errors.New("the mount is still in use")

// The pauses between the attempts to unmount: a program that just ended may still be closing its files.
const (
	firstPause = 10 * time.Millisecond
	attempts   = 8
)

// Close unmounts. Who waits for a lock waits no longer. If programs go on using the mount it is detached, so that its name is free and nobody new comes in, and
// Close waits for them until ctx ends; then the connection is cut, and the error says who they were. Give ctx a deadline.
// When it returns without an error, and also with ErrInUse, everything that was done through the mount is recorded.
func (m *Mount) Close(ctx context.Context) error {
	m.s.endWaits()
	m.s.placer.close()
	pause := firstPause
	for range attempts {
		if m.ended() || !m.attached() {
			return m.await(ctx, nil)
		}
		err := unmount(m.point, false)
		if err == nil {
			return m.await(ctx, nil)
		}
		m.log.Debug("cannot unmount yet", "path", m.point, "err", err)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
			pause *= 2
			continue
		case <-m.done:
			t.Stop()
			return nil
		case <-ctx.Done():
			t.Stop()
		}
		break
	}
	who := Users(m.point)
	m.log.Warn("the mount is in use and was detached", "path", m.point, "by", strings.Join(who, ", "))
	if m.attached() {
		if err := unmount(m.point, true); err != nil && m.attached() {
			return fmt.Errorf("unmount %s, used by %s: %w", m.point, orNobody(who), err)
		}
	}
	return m.await(ctx, who)
}

func (m *Mount) ended() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// attached reports whether what is seen at the mount point is this mount, and not another one or none.
func (m *Mount) attached() bool {
	top, ok, err := onTop(m.point)
	return err != nil || ok && top.typ == fsType && (m.minor == 0 || top.minor == m.minor)
}

// await waits for the end of the connection, and cuts it when ctx ends.
func (m *Mount) await(ctx context.Context, who []string) error {
	select {
	case <-m.done:
		return nil
	case <-ctx.Done():
	}
	if m.ended() {
		return nil
	}
	abort := filepath.Join("/sys/fs/fuse/connections", strconv.FormatUint(uint64(m.minor), 10), "abort")
	if err := os.WriteFile(abort, []byte("1"), 0); err != nil {
		return fmt.Errorf("%s is detached, but used by %s until they or this program end: %w: %w", m.point, orNobody(who), ErrInUse, err)
	}
	<-m.done // a cut connection ends at once
	if len(who) == 0 {
		return nil
	}
	return fmt.Errorf("%s was taken away from %s: %w", m.point, orNobody(who), ErrInUse)
}

func orNobody(who []string) string {
	if len(who) == 0 {
		return "programs that cannot be told (of other accounts)"
	}
	return strings.Join(who, ", ")
}

// unmount takes away what is mounted at point, with detach even while it is in use.
func unmount(point string, detach bool) error {
	if mayMount() {
		flags := unix.UMOUNT_NOFOLLOW
		if detach {
			flags |= unix.MNT_DETACH
		}
		return unix.Unmount(point, flags)
	}
	bin, err := fusermount()
	if err != nil {
		return err
	}
	args := []string{"-u"}
	if detach {
		args = append(args, "-z")
	}
	var said bytes.Buffer
	cmd := exec.Command(bin, append(args, "--", point)...)
	cmd.Dir, cmd.Stderr = "/", &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	return nil
}

func fusermount() (string, error) {
	for _, name := range []string{"fusermount3", "/bin/fusermount3", "fusermount", "/bin/fusermount"} {
		if p, err := exec.LookPath(name); err == nil {
			return p, nil
		}
	}
	return "", &Lack{What: "fusermount3, which lets an ordinary account mount, is not installed", Remedy: "install the package fuse3", Err: exec.ErrNotFound}
}

// Users names the programs that have something of the mount at point open, as far as this account may see: "vim (pid 12)". It
// reads names only and never the mount.
func Users(point string) []string {
	var out []string
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		dir := filepath.Join("/proc", p.Name())
		if !holds(dir, point) {
			continue
		}
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			continue // ended meanwhile
		}
		out = append(out, fmt.Sprintf("%s (pid %d)", strings.TrimSpace(string(name)), pid))
	}
	return out
}

func holds(proc, point string) bool {
	on := func(link string) bool {
		to, err := os.Readlink(link)
		return err == nil && within(strings.TrimSuffix(to, " (deleted)"), point)
	}
	if slices.ContainsFunc([]string{"cwd", "root", "exe"}, func(l string) bool { return on(filepath.Join(proc, l)) }) {
		return true
	}
	fds, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return false
	}
	for _, fd := range fds {
		if on(filepath.Join(proc, "fd", fd.Name())) {
			return true
		}
	}
	maps, err := os.ReadFile(filepath.Join(proc, "maps"))
	return err == nil && strings.Contains(string(maps), " "+point+"/")
}

// answerTime is how long a mount may take to say that it is alive before it counts as neither dead nor alive.
const answerTime = 5 * time.Second

// Recover detaches what a syftfs that ended without unmounting left at mountpoint. It does nothing if nothing of that kind is
// there, and refuses to touch a mount that is alive. The process that serves the mount must not call it.
func Recover(mountpoint string) error {
	point, err := resolve(mountpoint)
	if err != nil {
		return fmt.Errorf("recover %s: %w", mountpoint, err)
	}
	for range 16 { // dead mounts may lie on top of each other
		top, ok, err := onTop(point)
		if err != nil {
			return fmt.Errorf("recover %s: %w", point, err)
		}
		if !ok || top.typ != fsType {
			return nil
		}
		switch err := probe(point); {
		case err == nil:
			return nil // alive: Serve says so
		case !errors.Is(err, syscall.ENOTCONN) && !errors.Is(err, syscall.ECONNABORTED):
			return fmt.Errorf("recover %s: a syftfs is mounted there and does not answer, so it is left alone: %w", point, err)
		}
		if err := unmount(point, true); err != nil {
			return fmt.Errorf("detach the dead mount %s: %w", point, err)
		}
	}
	return fmt.Errorf("detach the dead mount %s: another one appears each time: %w", point, syscall.EBUSY)
}

// probe asks the mount something that the kernel never answers from its cache. A mount whose server hangs does not answer,
// and the thread that asks cannot be called back; it is given up.
func probe(point string) error {
	got := make(chan error, 1)
	go func() {
		var st unix.Statfs_t
		got <- unix.Statfs(point, &st)
	}()
	t := time.NewTimer(answerTime)
	defer t.Stop()
	select {
	case err := <-got:
		return err
	case <-t.C:
		return os.ErrDeadlineExceeded
	}
}
