package sandbox

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// collect moves what the job left for results out of the sandbox. Over a limit nothing is; so too on an error. The caller
// makes it durable, with the rest of what it keeps of a run.
func (s *shim) collect(res *outcome) {
	c := &collector{plan: s.plan}
	fd, err := unix.Open(treeResults, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == nil {
		err = c.folder(os.NewFile(uintptr(fd), "results"), s.dest, "", 1)
	}
	res.Dropped = c.dropped
	if err == nil {
		return
	}
	res.Dropped = append(res.Dropped, "everything: "+err.Error())
	if err := empty(s.dest); err != nil {
		res.Notes = append(res.Notes, "results: remove what was collected: "+err.Error())
	}
	if res.Reason == "" {
		res.Reason = reasonCollect
		if errors.As(err, new(overQuota)) {
			res.Reason = reasonQuota
		}
	}
}

// overQuota says which limit the results are over.
type overQuota string

func (q overQuota) Error() string { return string(q) }

// collector copies regular files and folders, by descriptor, following nothing.
type collector struct {
	plan             plan
	bytes, allocated int64
	names            int64
	dropped          []string
}

// folder copies what is in from into to and closes from. rel ends with a slash unless it is empty.
func (c *collector) folder(from *os.File, to *os.Root, rel string, depth int) error {
	defer from.Close()
	if depth > maxResultDepth {
		return overQuota(fmt.Sprintf("more than %d folders deep", maxResultDepth))
	}
	names, err := from.Readdirnames(-1)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, n := range names {
		if c.names++; c.names > c.plan.Limits.ResultFiles {
			return overQuota(fmt.Sprintf("more than %d files and folders", c.plan.Limits.ResultFiles))
		}
		if why := unwanted(n); why != "" {
			c.drop(rel+n, why)
			continue
		}
		if err := c.entry(from, to, rel, n, depth); err != nil {
			return err
		}
	}
	return nil
}

func (c *collector) entry(from *os.File, to *os.Root, rel, name string, depth int) error {
	var st unix.Stat_t
	if err := unix.Fstatat(int(from.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &iofs.PathError{Op: "stat", Path: rel + name, Err: err}
	}
	kind := st.Mode & unix.S_IFMT
	if kind != unix.S_IFREG && kind != unix.S_IFDIR {
		c.drop(rel+name, kinds[kind])
		return nil
	}
	flags := unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK
	if kind == unix.S_IFDIR {
		flags |= unix.O_DIRECTORY
	}
	fd, err := unix.Openat(int(from.Fd()), name, flags, 0)
	if err != nil {
		return &iofs.PathError{Op: "open", Path: rel + name, Err: err}
	}
	f := os.NewFile(uintptr(fd), rel+name)
	if kind == unix.S_IFREG {
		return c.file(f, to, name, st)
	}
	if err := errors.Join(to.Mkdir(name, 0o755), to.Chmod(name, 0o755)); err != nil {
		f.Close()
		return err
	}
	sub, err := to.OpenRoot(name)
	if err != nil {
		f.Close()
		return err
	}
	defer sub.Close()
	return c.folder(f, sub, rel+name+"/", depth+1)
}

// file copies one regular file and closes from.
func (c *collector) file(from *os.File, to *os.Root, name string, st unix.Stat_t) error {
	defer from.Close()
	l := c.plan.Limits
	c.bytes += st.Size
	c.allocated += st.Blocks * 512
	switch {
	case st.Size > maxResultFile:
		return overQuota(fmt.Sprintf("%q has more than %d MiB", from.Name(), maxResultFile>>20))
	case c.bytes > l.ResultBytes || c.allocated > l.ResultBytes:
		return overQuota(fmt.Sprintf("more than %d bytes", l.ResultBytes))
	}
	mode := iofs.FileMode(0o644)
	if st.Mode&0o111 != 0 {
		mode = 0o755
	}
	out, err := to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(from, st.Size))
	if err == nil {
		err = out.Chmod(mode)
	}
	return errors.Join(err, out.Close())
}

var kinds = map[uint32]string{
	unix.S_IFLNK: "symbolic link", unix.S_IFIFO: "FIFO", unix.S_IFSOCK: "socket", unix.S_IFCHR: "device", unix.S_IFBLK: "device",
}

// Names that never travel, whatever they hold.
var excluded = []string{"__pycache__", "node_modules"}

// Rule files: results must not decide who reads them.
var ruleFiles = []string{"syft.pub.yaml", "syftperm.yaml"}

// unwanted says why a name is not collected, or nothing.
func unwanted(name string) string {
	switch {
	case !utf8.ValidString(name):
		return "name is not UTF-8"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "control character in the name"
	case slices.ContainsFunc(ruleFiles, func(r string) bool { return strings.EqualFold(r, name) }):
		return "rule file"
	case strings.HasPrefix(name, "."):
		return "name begins with a dot"
	case slices.Contains(excluded, name):
		return "name is never sent"
	}
	return ""
}

// drop notes one name. Only so many are listed: the list goes to the end of a log.
func (c *collector) drop(rel, why string) {
	const most = 200
	switch {
	case len(c.dropped) < most:
		c.dropped = append(c.dropped, fmt.Sprintf("%q: %s", rel, why))
	case len(c.dropped) == most:
		c.dropped = append(c.dropped, "and more")
	}
}

// empty removes everything in dir.
func empty(dir *os.Root) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	names, err := d.Readdirnames(-1)
	err = errors.Join(err, d.Close())
	for _, n := range names {
		err = errors.Join(err, dir.RemoveAll(n))
	}
	return err
}
