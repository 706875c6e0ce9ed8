package doctor

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/openmined/syftfs/cmd/internal/config"
)

// state looks at the folder of state and reads the configuration in it.
func state(dir string) (Finding, *config.Config) {
	f := private("state", dir)
	if f.State == Missing {
		return f, nil
	}
	c, err := config.Load(dir)
	if err != nil {
		return Finding{Name: "state", State: Missing, Detail: err.Error(), Remedy: "repair the configuration, or run syftfs init"}, nil
	}
	return f, &c
}

func backing(dir string) Finding { return private("backing tree", dir) }

// private looks for a folder that is ours and that nobody else can enter.
func private(name, dir string) Finding {
	f := Finding{Name: name, State: OK, Detail: dir}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		err = &iofs.PathError{Op: "look at", Path: dir, Err: err}
		return Finding{Name: name, State: Missing, Detail: err.Error(), Remedy: "run syftfs init"}
	}
	switch mode := st.Mode & 0o7777; {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		f.State, f.Detail, f.Remedy = Missing, dir+" is not a folder", "move it away and run syftfs init"
	case int(st.Uid) != os.Geteuid():
		f.State, f.Detail = Missing, fmt.Sprintf("%s belongs to uid %d", dir, st.Uid)
		f.Remedy = fmt.Sprintf("run: chown -R %d %s", os.Geteuid(), dir)
	case mode&0o077 != 0:
		f.State, f.Detail = Missing, fmt.Sprintf("%s can be entered by others (mode %04o)", dir, mode)
		f.Remedy = "run: chmod 700 " + dir
	}
	return f
}

// mountPoint says what lies where the datasite is, or would be, seen.
func mountPoint(dir string) Finding {
	f := Finding{Name: "mount point", State: OK, Detail: dir + " is free"}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		f.Detail = dir + " will be made"
	case errors.Is(err, unix.ENOTCONN):
		f.State, f.Detail, f.Remedy = Degraded, dir+" is a mount whose daemon is gone", "run syftfs up, which detaches it, or: fusermount3 -u "+dir
		if os.Geteuid() == 0 {
			f.Remedy = "run syftfs up, which detaches it, or: umount " + dir
		}
	case err != nil:
		f.State, f.Detail, f.Remedy = Missing, err.Error(), "choose another mount point in config.yaml, or make this one usable"
	case isFUSE(dir):
		f.Detail = dir + " is mounted"
	case len(entries) > 0:
		f.State, f.Detail, f.Remedy = Missing, dir+" is not empty", "move what is in it elsewhere, or choose another mount point in config.yaml"
	}
	return f
}

func isFUSE(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && st.Type == unix.FUSE_SUPER_MAGIC
}

// hidden names real files that a virtual folder hides from everybody who looks through the mount.
func hidden(backing string) (out []Finding) {
	entries, err := os.ReadDir(backing)
	if err != nil {
		return nil // backing said so
	}
	look := func(path string) {
		if _, err := os.Lstat(path); err == nil {
			out = append(out, Finding{Name: "hidden files", State: Degraded, Detail: path + " is hidden by the virtual folder of that name",
				Remedy: "move it: mv " + path + " " + path + "-files"})
		}
	}
	look(filepath.Join(backing, ".syft"))
	look(filepath.Join(backing, "datasites"))
	for _, e := range entries {
		if e.IsDir() && strings.Contains(e.Name(), "@") {
			look(filepath.Join(backing, e.Name(), "jobs"))
		}
	}
	return out
}
