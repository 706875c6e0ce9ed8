package sandbox

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Where things lie in the private tree that the shim makes its root and bubblewrap binds from.
const (
	treeBwrap   = "/bwrap"
	treeInit    = "/init"
	treeWork    = "/run/work"
	treeResults = "/run/results"
	treeTmp     = "/run/tmp"
	treeShm     = "/run/shm"
	treeHome    = "/run/home"
	treeData    = "/run/data" // <number>/public and <number>/private
	treeMade    = "/made"     // passwd, group, hosts
	treeEnv     = "/env"
	treeOld     = "/old"
)

var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}

// topDirs exist beside /usr: links into it on a merged system, real folders on others.
var topDirs = []string{"bin", "sbin", "lib", "lib64", "lib32", "libx32"}

// tree is the private tree while it is built: detached copies of mounts and where they belong.
type tree struct {
	plan  plan
	parts []part
	links map[string]string // top folders that are links
	real  []string          // top folders that are folders
	data  []bind            // parts of datasets
}

// bind is a folder of the tree and its place inside.
type bind struct{ from, to string }

// part is a detached mount and its place in the tree, or a program that has to be copied there.
type part struct {
	fd   int
	at   string
	file bool
	copy *os.File
}

// clone takes a detached copy of the mount at path, to be attached at the place at. All are taken before the first is
// attached, so that nothing we mount can hide a source.
func (t *tree) clone(path, at string, flags uint) error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|flags)
	if err != nil {
		return &iofs.PathError{Op: "bind", Path: path, Err: err}
	}
	return t.add(fd, at)
}

func (t *tree) add(fd int, at string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return fmt.Errorf("bind %s: %w", at, err)
	}
	t.parts = append(t.parts, part{fd: fd, at: at, file: st.Mode&unix.S_IFMT != unix.S_IFDIR})
	return nil
}

// system takes what of this machine every job sees, and our own parts.
func (t *tree) system() error {
	if err := t.clone("/usr", "/usr", unix.AT_RECURSIVE); err != nil {
		return err
	}
	t.links = map[string]string{}
	for _, d := range topDirs {
		info, err := os.Lstat("/" + d)
		switch {
		case errors.Is(err, iofs.ErrNotExist):
		case err != nil:
			return err
		case info.Mode()&iofs.ModeSymlink != 0:
			if t.links[d], err = os.Readlink("/" + d); err != nil {
				return err
			}
		default:
			t.real = append(t.real, d)
			if err := t.clone("/"+d, "/"+d, unix.AT_RECURSIVE); err != nil {
				return err
			}
		}
	}
	for _, p := range []string{"/etc/alternatives", "/etc/ld.so.cache"} {
		if err := t.clone(p, p, 0); err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return err
		}
	}
	for _, d := range devices {
		if err := t.clone("/dev/"+d, "/dev/"+d, 0); err != nil {
			return err
		}
	}
	return errors.Join(t.program(t.plan.Bwrap, treeBwrap), t.program("/proc/self/exe", treeInit))
}

// program takes a program; if the job's uid could not execute it where it lies, as a copy.
func (t *tree) program(path, at string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	if t.plan.Root && info.Mode().Perm()&0o005 != 0o005 {
		t.parts = append(t.parts, part{at: at, copy: f})
		return nil
	}
	defer f.Close()
	fd, err := unix.OpenTree(int(f.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return &iofs.PathError{Op: "bind", Path: path, Err: err}
	}
	return t.add(fd, at)
}

// attach mounts the tree's root and everything taken, and makes it the shim's only root.
func (t *tree) attach() error {
	p, root := t.plan, t.plan.Mount
	if err := tmpfs(root, "mode=0755,size=64m,nr_inodes=4096"); err != nil {
		return err
	}
	at := func(s string) string { return filepath.Join(root, s) }
	for _, d := range []string{"/run", "/tmp", "/proc", "/etc", "/dev", treeOld, treeWork, treeResults, treeTmp, treeShm, treeHome, treeData} {
		if err := os.MkdirAll(at(d), 0o755); err != nil {
			return err
		}
	}
	for name, to := range t.links {
		if err := os.Symlink(to, at(name)); err != nil {
			return err
		}
	}
	for _, m := range t.parts {
		if err := m.attach(root); err != nil {
			return err
		}
	}
	size, files, err := measure(p.Work)
	if err != nil {
		return err
	}
	owner := fmt.Sprintf(",uid=%d,gid=%d", p.UID, p.GID)
	l := p.Limits
	for _, m := range []struct {
		at, mode    string
		size, files int64
	}{
		{treeWork, "0755", size + workSlack, files + scratchFiles},
		// A little more than may be collected: whoever fills it is over the limit, and is found out when it is collected.
		{treeResults, "0755", l.ResultBytes + max(l.ResultBytes/16, 64<<10), l.ResultFiles + max(l.ResultFiles/16, 16)},
		{treeTmp, "1777", scratchTmp, scratchFiles},
		{treeShm, "1777", scratchShm, scratchFiles},
		{treeHome, "0700", scratchHome, scratchFiles},
	} {
		if err := tmpfs(at(m.at), fmt.Sprintf("mode=%s,size=%d,nr_inodes=%d%s", m.mode, m.size, m.files, owner)); err != nil {
			return err
		}
	}
	if err := copyWork(p.Work, at(treeWork), p.UID, p.GID); err != nil {
		return err
	}
	if err := writeMade(root, p); err != nil {
		return err
	}
	if err := unix.Mount("proc", at("/proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := unix.PivotRoot(root, at(treeOld)); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount(treeOld, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the machine's files: %w", err)
	}
	return nil
}

func (m part) attach(root string) error {
	at := filepath.Join(root, m.at)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	if m.copy != nil {
		defer m.copy.Close()
		return copyTo(m.copy, at, 0o555)
	}
	if m.file {
		if err := os.WriteFile(at, nil, 0o644); err != nil {
			return err
		}
	} else if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := unix.MoveMount(m.fd, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("attach %s: %w", m.at, err)
	}
	return unix.Close(m.fd)
}

func tmpfs(at, options string) error {
	if err := unix.Mount("tmpfs", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount a tmpfs (%s): %w", options, err)
	}
	return nil
}

// writeMade writes the few files of /etc that are made up, and /env.
func writeMade(root string, p plan) error {
	for name, body := range map[string]string{
		"passwd": "job:x:1000:1000:job:" + insideHome + ":/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		"group":  "job:x:1000:\nnogroup:x:65534:\n",
		"hosts":  "127.0.0.1 localhost job\n::1 localhost\n",
	} {
		if err := writeFile(filepath.Join(root, treeMade, name), []byte(body), 0o644); err != nil {
			return err
		}
	}
	return writeEnv(filepath.Join(root, treeEnv), p.Python)
}

func writeFile(path string, body []byte, mode iofs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, body, mode)
}

// bwrapArgs are the options of bubblewrap, for --args, in the order in which they act.
func (t *tree) bwrapArgs() []string {
	p := t.plan
	a := []string{"--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--unshare-cgroup-try",
		"--disable-userns", "--assert-userns-disabled", "--die-with-parent", "--new-session", "--hostname", "job",
		"--uid", "1000", "--gid", "1000", "--cap-drop", "ALL", "--clearenv"}
	for _, kv := range p.environment() {
		a = append(a, "--setenv", kv[0], kv[1])
	}
	a = append(a, "--ro-bind", "/usr", "/usr")
	for _, d := range topDirs {
		if to, ok := t.links[d]; ok {
			a = append(a, "--symlink", strings.TrimPrefix(to, "/"), "/"+d)
		}
	}
	for _, d := range t.real {
		a = append(a, "--ro-bind", "/"+d, "/"+d)
	}
	a = append(a, "--ro-bind-try", "/etc/alternatives", "/etc/alternatives", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache")
	for _, f := range []string{"passwd", "group", "hosts"} {
		a = append(a, "--ro-bind", treeMade+"/"+f, "/etc/"+f)
	}
	a = append(a, "--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys", "--dev", "/dev", "--bind", treeShm, "/dev/shm", "--remount-ro", "/dev",
		"--bind", treeTmp, "/tmp", "--bind", treeHome, insideHome,
		"--bind", treeWork, p.work(), "--bind", treeResults, p.work()+"/code/outputs", "--bind", treeResults, p.work()+"/outputs",
		"--ro-bind", treeEnv, insideEnv, "--ro-bind", treeInit, insideInit)
	for _, m := range t.data {
		a = append(a, "--ro-bind", m.from, m.to)
	}
	return append(a, "--remount-ro", "/", "--chdir", p.work(), "--json-status-fd", "4")
}

// rules are what Landlock allows inside.
func (t *tree) rules() []rule {
	p := t.plan
	var rs []rule
	for _, d := range []string{"/usr", "/proc", "/etc", insideEnv} {
		rs = append(rs, rule{d, llReadExec})
	}
	for _, d := range t.real {
		rs = append(rs, rule{"/" + d, llReadExec})
	}
	for _, d := range devices {
		rs = append(rs, rule{"/dev/" + d, llDevice})
	}
	for _, d := range []string{p.work(), "/tmp", "/dev/shm", insideHome} {
		rs = append(rs, rule{d, llAll})
	}
	// Everything there is a granted dataset or the working copy, or a folder on the way to one.
	rs = append(rs, rule{insideSyftBox, llRead}, rule{"/", unix.LANDLOCK_ACCESS_FS_READ_DIR})
	if p.Test != nil {
		rs = append(rs, rule{insideInit, llReadExec})
	}
	return rs
}
