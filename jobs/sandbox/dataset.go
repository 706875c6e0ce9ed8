package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// datasetError says that a granted dataset cannot be bound; its text names the dataset.
type datasetError struct{ err error }

func (e *datasetError) Error() string { return e.err.Error() }
func (e *datasetError) Unwrap() error { return e.err }

// datasets takes the parts of every granted dataset.
func (t *tree) datasets() error {
	for i, d := range t.plan.Datasets {
		for _, m := range []struct{ from, at, inside string }{
			{d.Public, "public", t.plan.public(d.Name)}, {d.Private, "private", t.plan.private(d.Name)},
		} {
			if m.from == "" {
				continue
			}
			at := filepath.Join(treeData, strconv.Itoa(i), m.at)
			if err := t.dataset(m.from, at); err != nil {
				return &datasetError{fmt.Errorf("dataset %s: %w", d.Name, err)}
			}
			t.data = append(t.data, bind{at, m.inside})
		}
	}
	return nil
}

// dataset takes one folder, read-only, so that the job's uid can read it: as it lies where that is enough, through an
// id-mapped mount where one owner has it all and the file system can do that, else as a private copy.
func (t *tree) dataset(from, at string) error {
	// The last step is not followed when it is a link: a dataset is a folder of the owner's tree and nothing else.
	fd, err := unix.OpenTree(unix.AT_FDCWD, from, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return &os.PathError{Op: "bind", Path: from, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		unix.Close(fd)
		return errors.Join(err, &os.PathError{Op: "bind", Path: from, Err: unix.ENOTDIR})
	}
	if !t.plan.Root {
		return t.addData(fd, at)
	}
	others, oneOwner, uid, gid, err := access(from)
	if err != nil {
		unix.Close(fd)
		return err
	}
	if others {
		return t.addData(fd, at)
	}
	if oneOwner {
		if err := idmap(fd, int(uid), int(gid), t.plan.UID, t.plan.GID); err == nil {
			return t.addData(fd, at)
		}
	}
	unix.Close(fd)
	to := filepath.Join(t.plan.Copies, filepath.Base(filepath.Dir(at))+"-"+filepath.Base(at))
	if err := copyData(from, to); err != nil {
		return err
	}
	if fd, err = unix.OpenTree(unix.AT_FDCWD, to, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC); err != nil {
		return &os.PathError{Op: "bind", Path: to, Err: err}
	}
	return t.addData(fd, at)
}

func (t *tree) addData(fd int, at string) error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		unix.Close(fd)
		return fmt.Errorf("make it read-only: %w", err)
	}
	return t.add(fd, at)
}

// idmap shows what uid and gid own on disk as owned by toUID and toGID, in the detached mount fd.
func idmap(fd, uid, gid, toUID, toGID int) error {
	cmd := exec.Command("/proc/self/exe", argHold)
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, Pdeathsig: syscall.SIGKILL,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: toUID, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: toGID, Size: 1}}}
	hold, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = idmapTo(fd, cmd.Process.Pid)
	hold.Close()
	return errors.Join(err, cmd.Wait())
}

func idmapTo(fd, pid int) error {
	ns, err := os.Open(filepath.Join("/proc", strconv.Itoa(pid), "ns/user"))
	if err != nil {
		return err
	}
	defer ns.Close()
	return unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())})
}

// holdMain keeps its user namespace alive until whoever asked for it has used it.
func holdMain() error {
	var b [1]byte
	_, _ = os.Stdin.Read(b[:]) // ends with the pipe; what it says does not matter
	return nil
}
