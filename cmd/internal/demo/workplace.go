package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const lockName = "lock"

// workplace makes an empty folder for one run, locked while the run lasts, and takes away what runs that were killed left.
func workplace(ctx context.Context, out io.Writer) (dir string, unlock func() error, err error) {
	top := filepath.Join(os.TempDir(), "syftfs-demo-"+strconv.Itoa(os.Getuid()))
	if err := os.Mkdir(top, 0o700); err != nil && !errors.Is(err, iofs.ErrExist) {
		return "", nil, err
	}
	var st unix.Stat_t
	if err := unix.Lstat(top, &st); err != nil {
		return "", nil, &iofs.PathError{Op: "lstat", Path: top, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Getuid() || st.Mode&0o077 != 0 {
		return "", nil, fmt.Errorf("%s is not a folder of yours alone: remove it and try again", top)
	}
	entries, err := os.ReadDir(top)
	if err != nil {
		return "", nil, err
	}
	for _, e := range entries {
		if err := sweep(ctx, out, filepath.Join(top, e.Name())); err != nil {
			return "", nil, err
		}
	}
	if dir, err = os.MkdirTemp(top, "run-"); err != nil {
		return "", nil, err
	}
	f, err := lock(dir)
	if err != nil {
		return "", nil, err
	}
	return dir, func() error {
		err := f.Close()
		if rerr := os.Remove(top); rerr != nil && !errors.Is(rerr, unix.ENOTEMPTY) && !errors.Is(rerr, iofs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
		return err
	}, nil
}

func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// sweep removes the folder of a run that is over. A run that goes on is left alone.
func sweep(ctx context.Context, out io.Writer, dir string) error {
	f, err := lock(dir)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Fprintf(out, "An earlier demo was killed: taking away what it left in %s\n", dir)
	// Its daemon was told to end when the demo died; it unmounts by itself if it was not killed too.
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for busy(dir) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the datasite in %s still runs: stop it with `HOME=%s/owen XDG_STATE_HOME=%[1]s/owen/.state syftfs down`: %w", dir, ctx.Err())
		case <-tick.C:
		}
	}
	return remove(dir)
}

// busy reports whether a process holds the lock of a datasite below dir.
func busy(dir string) bool {
	locks, _ := filepath.Glob(filepath.Join(dir, "*", ".state", "syftfs", "*", lockName)) // the pattern is well formed
	for _, l := range locks {
		f, err := os.Open(l)
		if err != nil {
			continue
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return true
		}
	}
	return false
}

// remove detaches what is mounted below dir and removes dir. With anything still mounted there nothing is removed: the files behind
// a mount are not ours to delete.
func remove(dir string) error {
	for _, m := range mounts(dir) {
		if err := detach(m); err != nil {
			return err
		}
	}
	if left := mounts(dir); len(left) > 0 {
		return fmt.Errorf("still mounted: %s: unmount it and remove %s", strings.Join(left, ", "), dir)
	}
	return os.RemoveAll(dir)
}

func mounts(dir string) []string {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return []string{"(cannot be told: " + err.Error() + ")"}
	}
	var found []string
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) > 4 {
			if p := unescape(fields[4]); strings.HasPrefix(p, dir+"/") {
				found = append(found, p)
			}
		}
	}
	return found
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func detach(mountpoint string) error {
	if os.Geteuid() == 0 {
		return unix.Unmount(mountpoint, unix.MNT_DETACH)
	}
	out, err := exec.Command("fusermount3", "-u", "-z", mountpoint).CombinedOutput()
	if err != nil {
		return fmt.Errorf("fusermount3 -u -z %s: %w: %s", mountpoint, err, out)
	}
	return nil
}
