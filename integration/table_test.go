package integration

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// row is one line of the table of operations: what each of the people is answered, in the order of people; one word stands for
// everybody. An errno is a refusal, which changes nothing; "ok" or another word is what was found.
type row struct {
	name    string
	do      operation
	want    string
	perm    string // where rules are in syftperm.yaml, if that differs; "-" if the row has no meaning there
	changes bool   // what is there, where it is not refused
}

// The answers that come again and again: who may read, change, make ... In syftperm.yaml the writer may not create and the creator
// not change.
const (
	all      = "ok ok ok ok ok ok ENOENT"
	sees     = "ok"
	mine     = "ok ENOENT ENOENT ENOENT ENOENT ENOENT ENOENT" // hidden for everybody else
	writers  = "ok ok ok EACCES EACCES EACCES ENOENT"
	creators = "ok ok ok ok EACCES EACCES EACCES"
	creatorA = "ok ok EACCES ok EACCES EACCES EACCES"
	movers   = writers // need write and create
	moverA   = "ok ok EACCES EACCES EACCES EACCES ENOENT"
	admins   = "ok ok EACCES EACCES EACCES EACCES ENOENT" // of a rule file that is there
	never    = "EPERM EPERM EPERM EPERM EPERM EPERM ENOENT"
	small    = "ok EFBIG EFBIG EACCES EACCES EACCES ENOENT" // beyond the limit of a rule
)

const (
	rd    = unix.O_RDONLY
	wr    = unix.O_WRONLY
	rw    = unix.O_RDWR
	creat = unix.O_CREAT
	excl  = unix.O_EXCL
	trunc = unix.O_TRUNC
	app   = unix.O_APPEND

	exchange  = unix.RENAME_EXCHANGE
	noReplace = unix.RENAME_NOREPLACE
)

// table is the table of operations of the permission reference, on a real mount.
func table() []row {
	looks := []row{
		//                                                  owner admin writer creator reader any nobody
		{name: "stat", do: stat("f"), want: all},
		{name: "stat nothing", do: stat("none"), want: "ENOENT"},
		{name: "stat below a file", do: stat("f/x"), want: "ENOTDIR ENOTDIR ENOTDIR ENOTDIR ENOTDIR ENOTDIR ENOENT"},
		{name: "stat link", do: stat("l"), want: all},
		{name: "stat rules", do: stat("sub/RULES"), want: all},
		{name: "stat hidden", do: stat("hidden.txt"), want: mine},
		{name: "stat hidden folder", do: stat("hid"), want: mine},
		{name: "stat in hidden folder", do: stat("hid/in"), want: mine},
		{name: "stat nothing in hidden folder", do: stat("hid/none"), want: "ENOENT"},
		{name: "stat folder with something visible below", do: stat("thru/in"), want: sees},
		{name: "stat what is visible below", do: stat("thru/in/open.txt"), want: sees},
		{name: "stat what is not", do: stat("thru/closed.txt"), want: mine},
		{name: "mode of a file", do: mode("f"), want: "0644 0600 0600 0400 0400 0400 ENOENT"},
		{name: "mode of a program", do: mode("x"), want: "0755 0700 0700 0500 0500 0500 ENOENT"},
		{name: "mode of a folder", do: mode("d"), want: "0755 0700 0700 0700 0500 0500 ENOENT"},
		{name: "mode of rules", do: mode("sub/RULES"), want: "0644 0600 0400 0400 0400 0400 ENOENT"},
		{name: "mode of a folder on the way", do: mode("thru"), want: "0755 0111 0111 0111 0111 0111 0111"},
		{name: "mode of what lies there", do: mode("thru/in/open.txt"), want: "0644 0400 0400 0400 0400 0400 0400"},
		{name: "access r", do: access("f", unix.R_OK), want: all},
		{name: "access w", do: access("f", unix.W_OK), want: writers},
		{name: "access x", do: access("f", unix.X_OK), want: "EACCES EACCES EACCES EACCES EACCES EACCES ENOENT"},
		{name: "access x, program", do: access("x", unix.X_OK), want: all},
		{name: "access w, folder", do: access("d", unix.W_OK), want: "ok ok ok ok EACCES EACCES ENOENT"},
		{name: "access w, rules", do: access("sub/RULES", unix.W_OK), want: admins},
		{name: "access r, on the way", do: access("thru", unix.R_OK), want: "ok EACCES EACCES EACCES EACCES EACCES EACCES"},
		{name: "access hidden", do: access("hidden.txt", unix.F_OK), want: mine},
		{name: "readdir", do: list("."),
			want: "[big,d,f,full,g,hid,hidden.txt,l,links,shade,small,sub,thru,x]" + strings.Repeat(" [big,d,f,full,g,l,links,shade,small,sub,thru,x]", 5) + " [thru]",
			perm: "[big,d,f,full,g,hid,hidden.txt,l,shade,sub,thru,x]" + strings.Repeat(" [big,d,f,full,g,l,shade,sub,thru,x]", 5) + " [thru]"},
		{name: "readdir, on the way", do: list("thru"), want: "[closed.txt,in] [in] [in] [in] [in] [in] [in]"},
		{name: "readdir, only hidden inside", do: list("shade"), want: "[hidden.txt] [] [] [] [] [] ENOENT"},
		{name: "readdir hidden", do: list("hid"), want: "[in,RULES]" + strings.Repeat(" ENOENT", 6), perm: "[in]" + strings.Repeat(" ENOENT", 6)},
		{name: "readdir file", do: list("f"), want: "ENOTDIR ENOTDIR ENOTDIR ENOTDIR ENOTDIR ENOTDIR ENOENT"},
		{name: "open r", do: open("f", rd), want: all},
		{name: "open w", do: open("f", wr), want: writers},
		{name: "open rw", do: open("f", rw), want: writers},
		{name: "open append", do: open("f", wr|app), want: writers},
		{name: "open through a link", do: open("l", rd), want: all},
		{name: "open w through a link", do: open("l", wr), want: writers},
		{name: "open r, rules", do: open("sub/RULES", rd), want: all},
		{name: "open w, rules", do: open("sub/RULES", wr), want: admins},
		{name: "open append, rules", do: open("sub/RULES", wr|app), want: admins},
		{name: "open r, hidden", do: open("hidden.txt", rd), want: mine},
		{name: "open w, hidden", do: open("hidden.txt", wr), want: mine},
		{name: "open r, what is visible below", do: open("thru/in/open.txt", rd), want: "ok"},
		{name: "open w, what is visible below", do: open("thru/in/open.txt", wr), want: "ok EACCES EACCES EACCES EACCES EACCES EACCES"},
		{name: "exec", do: execute("x"), want: all},
		{name: "create over", do: open("f", wr|creat), want: "ok ok ok EACCES EACCES EACCES EACCES"},
		{name: "create over, to read", do: open("f", rd|creat), want: "ok ok ok ok ok ok EACCES"},
		// The reference wants create for EEXIST, but the kernel answers by itself when it sees the name: who sees it knows already.
		{name: "create over, exclusively", do: open("f", wr|creat|excl), want: "EEXIST EEXIST EEXIST EEXIST EEXIST EEXIST EACCES"},
		{name: "create over hidden", do: open("hidden.txt", wr|creat), want: "ok EACCES EACCES EACCES EACCES EACCES EACCES"},
		{name: "create over hidden, exclusively", do: open("hidden.txt", wr|creat|excl), want: "EEXIST EACCES EACCES EACCES EACCES EACCES EACCES"},
		{name: "mkdir over", do: mkdir("d"), want: "EEXIST EEXIST EEXIST EEXIST EEXIST EEXIST EACCES"},
		{name: "mkdir over hidden", do: mkdir("hid"), want: "EEXIST EACCES EACCES EACCES EACCES EACCES EACCES"},
		{name: "symlink over hidden", do: symlink("hidden.txt", "f"), want: "EEXIST EACCES EACCES EACCES EACCES EACCES EACCES"},
		{name: "mkdir in nothing", do: mkdir("none/d"), want: "ENOENT"},
		{name: "mknod pipe", do: mknod("pipe", unix.S_IFIFO), want: "EPERM"},
		{name: "mknod socket", do: mknod("sock", unix.S_IFSOCK), want: "EPERM"},
		{name: "rmdir what is full", do: rmdir("full"), want: "ENOTEMPTY ENOTEMPTY ENOTEMPTY EACCES EACCES EACCES ENOENT"},
		{name: "rmdir, only hidden inside", do: rmdir("shade"), want: "ENOTEMPTY ENOTEMPTY ENOTEMPTY EACCES EACCES EACCES ENOENT"},
		{name: "rmdir, on the way", do: rmdir("thru"), want: "ENOTEMPTY EACCES EACCES EACCES EACCES EACCES EACCES"},
		{name: "unlink nothing", do: unlink("none"), want: "ENOENT"},
		{name: "rename over a folder", do: rename("f", "d", 0), want: "EISDIR EISDIR EISDIR EISDIR EISDIR EISDIR ENOENT"}, // so does it here
		{name: "rename nothing", do: rename("none", "new", 0), want: "ENOENT"},
		{name: "rename, not over", do: rename("f", "g", noReplace), want: "EEXIST EEXIST EEXIST EEXIST EEXIST EEXIST ENOENT"},
		{name: "rename folder over full", do: rename("d", "full", 0), want: "ENOTEMPTY ENOTEMPTY ENOTEMPTY EACCES EACCES EACCES ENOENT"},
		{name: "exchange with nothing", do: rename("f", "none", exchange), want: "ENOENT"},
		{name: "link", do: link("f", "new"), want: never},
		{name: "link as rules", do: link("f", "d/RULES"), want: never},
		{name: "link of rules", do: link("sub/RULES", "new"), want: never},
		{name: "readlink", do: readlink("l"), want: all},
		{name: "chmod, no change", do: chmod("f", 0), want: all},
		{name: "chown, no change", do: chown("f", -1), want: all},
		{name: "chown", do: chown("f", 4711), want: never},
		{name: "getxattr", do: getxattr("f", "user.b"), want: "b b b b b b ENOENT"},
		{name: "getxattr, none", do: getxattr("f", "user.none"), want: "ENODATA ENODATA ENODATA ENODATA ENODATA ENODATA ENOENT"},
		{name: "getxattr access", do: getxattr("f", "user.syft.access"), want: "admin admin write create read read ENOENT"},
		{name: "getxattr access, folder", do: getxattr("d", "user.syft.access"), want: "admin admin write create read read ENOENT"},
		{name: "getxattr access, rules", do: getxattr("sub/RULES", "user.syft.access"), want: "admin admin read read read read ENOENT"},
		{name: "getxattr access, on the way", do: getxattr("thru", "user.syft.access"), want: "admin EACCES EACCES EACCES EACCES EACCES EACCES"},
		{name: "getxattr access, hidden", do: getxattr("hidden.txt", "user.syft.access"), want: "admin" + strings.Repeat(" ENOENT", 6)},
		{name: "listxattr", do: listxattr("f"), want: "user.b user.b user.b user.b user.b user.b ENOENT"},
		{name: "listxattr, on the way", do: listxattr("thru"), want: "ok EACCES EACCES EACCES EACCES EACCES EACCES"},
		{name: "setxattr access", do: setxattr("f", "user.syft.access"), want: never},
		{name: "removexattr access", do: removexattr("f", "user.syft.why"), want: never},
		{name: "setxattr system", do: setxattr("f", "system.b"), want: "ENOTSUP ENOTSUP ENOTSUP ENOTSUP ENOTSUP ENOTSUP ENOENT"},
		{name: "statfs", do: statfs("."), want: sees},
		{name: "lseek data", do: opening("f", rd, seek(unix.SEEK_DATA)), want: "0 0 0 0 0 0 ENOENT"},
		{name: "lseek hole", do: opening("f", rd, seek(unix.SEEK_HOLE)), want: "5 5 5 5 5 5 ENOENT"},
		{name: "mmap private", do: opening("f", rd, mapping(unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)), want: all},
		{name: "mmap shared, read", do: opening("f", rd, mapping(unix.PROT_READ, unix.MAP_SHARED)), want: all},
		{name: "mmap shared, write, of a readable handle", do: opening("f", rd, mapping(unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)),
			want: "EACCES EACCES EACCES EACCES EACCES EACCES ENOENT"},
		{name: "ftruncate, readable handle", do: opening("f", rd, func(_ spot, fd int) (string, error) { return "", unix.Ftruncate(fd, 1) }),
			want: "EINVAL EINVAL EINVAL EINVAL EINVAL EINVAL ENOENT"},
		{name: "fallocate, readable handle", do: growing("f", rd, fallocate(0, 100)), want: "EBADF EBADF EBADF EBADF EBADF EBADF ENOENT"},
		{name: "copy to a readable handle", do: growing("f", rd, copyFrom("g")).with("g"), want: "EBADF EBADF EBADF EBADF EBADF EBADF ENOENT"},
		{name: "copy from hidden", do: growing("f", wr, copyFrom("thru/closed.txt")).with("thru/closed.txt"), want: "ok ENOENT ENOENT EACCES EACCES EACCES ENOENT", changes: true},
		{name: "flock shared", do: opening("f", rd, flock(unix.LOCK_SH)), want: all},
		{name: "flock exclusive", do: opening("f", rd, flock(unix.LOCK_EX)), want: writers},
		{name: "flock exclusive, rules", do: opening("sub/RULES", rd, flock(unix.LOCK_EX)), want: admins},
		{name: "lock shared", do: opening("f", rd, lock(unix.F_RDLCK)), want: all},
		{name: "lock exclusive", do: opening("f", rw, lock(unix.F_WRLCK)), want: writers},
		{name: "lock exclusive, rules", do: opening("sub/RULES", rw, lock(unix.F_WRLCK)), want: admins},
		{name: "fsync", do: opening("f", rd, fsync), want: all},
		{name: "fsync folder", do: opening(".", rd|unix.O_DIRECTORY, fsync), want: sees},
		{name: "ioctl", do: opening("f", rd, ioctl), want: "ENOTTY ENOTTY ENOTTY ENOTTY ENOTTY ENOTTY ENOENT"},
	}
	changes := []row{
		//                                                  owner admin writer creator reader any nobody
		{name: "open w truncate", do: open("f", wr|trunc), want: writers},
		{name: "open r truncate", do: open("f", rd|trunc), want: writers},
		{name: "open truncate, rules", do: open("sub/RULES", wr|trunc), want: admins},
		{name: "create", do: open("new", wr|creat), want: creators, perm: creatorA},
		{name: "create, to read", do: open("new", rd|creat), want: creators, perm: creatorA},
		{name: "create exclusively", do: open("new", rw|creat|excl), want: creators, perm: creatorA},
		{name: "create, write, write again", do: opening("new", rw|creat|excl, func(_ spot, fd int) (string, error) {
			for i, text := range []string{"once", "twice"} {
				if _, err := unix.Pwrite(fd, []byte(text), int64(i)); err != nil {
					return "", err
				}
			}
			return "", unix.Ftruncate(fd, 1)
		}), want: creators, perm: creatorA},
		{name: "create, close, write", do: telling("new", func(p string) (string, error) {
			fd, err := unix.Open(p, wr|creat|excl, 0o644)
			if err != nil {
				return "", err
			}
			if err := unix.Close(fd); err != nil {
				return "", err
			}
			if fd, err = unix.Open(p, wr, 0); err != nil {
				return "made," + answerOf(err), nil
			}
			return "", unix.Close(fd)
		}), want: "ok ok ok made,EACCES EACCES EACCES EACCES", perm: "ok ok EACCES made,EACCES EACCES EACCES EACCES"},
		{name: "create, lock", do: opening("new", rw|creat|excl, lock(unix.F_WRLCK)), want: creators, perm: creatorA},
		{name: "create rules", do: open("d/RULES", wr|creat), want: admins},
		{name: "create rules beside a file", do: open("RULES", wr|creat), want: "ok ok EACCES EACCES EACCES EACCES EACCES"},
		{name: "create rules of the other kind", do: open("sub/OTHER", wr|creat|excl), want: admins},
		{name: "create what is named nearly so", do: open("d/my.RULES", wr|creat), want: "ok ok ok ok EACCES EACCES ENOENT", perm: "ok ok EACCES ok EACCES EACCES ENOENT"},
		{name: "mknod", do: mknod("new", unix.S_IFREG), want: creators, perm: creatorA},
		{name: "mknod rules", do: mknod("d/RULES", unix.S_IFREG), want: admins},
		{name: "mkdir", do: mkdir("new"), want: creators, perm: creatorA},
		{name: "mkdir rules", do: mkdir("d/RULES"), want: "ok EPERM EACCES EACCES EACCES EACCES ENOENT"},
		{name: "mkdir, no folders", do: mkdir("small/new"), want: "ok EPERM EPERM EPERM EACCES EACCES ENOENT", perm: "-"},
		{name: "unlink", do: unlink("f"), want: writers},
		{name: "unlink link", do: unlink("l"), want: writers},
		{name: "unlink rules", do: unlink("sub/RULES"), want: admins},
		{name: "unlink hidden", do: unlink("hidden.txt"), want: mine},
		{name: "rmdir", do: rmdir("d"), want: writers},
		{name: "rename", do: rename("f", "new", 0), want: movers, perm: moverA},
		{name: "rename, nothing there", do: rename("f", "new", noReplace), want: movers, perm: moverA},
		{name: "rename over", do: rename("f", "g", 0), want: writers},
		{name: "rename link", do: rename("l", "new", 0), want: "ok EPERM EPERM EACCES EACCES EACCES ENOENT", perm: "ok EPERM EACCES EACCES EACCES EACCES ENOENT"},
		{name: "rename over hidden", do: rename("f", "hidden.txt", 0), want: "ok EACCES EACCES EACCES EACCES EACCES ENOENT"},
		{name: "rename to a hidden folder", do: rename("f", "hid/new", 0), want: mine},
		{name: "rename hidden", do: rename("hidden.txt", "new", 0), want: mine},
		{name: "rename rules away", do: rename("sub/RULES", "new", 0), want: admins},
		{name: "rename to rules", do: rename("f", "d/RULES", 0), want: admins},
		{name: "rename to rules of the other kind", do: rename("f", "d/OTHER", 0), want: admins},
		{name: "rename over rules", do: rename("f", "sub/RULES", 0), want: admins},
		{name: "rename folder to rules", do: rename("d", "full/RULES", 0), want: "ok EPERM EACCES EACCES EACCES EACCES ENOENT"},
		{name: "rename folder", do: rename("full", "new", 0), want: movers, perm: moverA},
		{name: "rename folder over empty", do: rename("full", "d", 0), want: movers, perm: moverA},
		{name: "rename folder with rules in it", do: rename("sub", "new", 0), want: admins},
		{name: "rename folder with hidden in it", do: rename("shade", "new", 0), want: "ok EACCES EACCES EACCES EACCES EACCES ENOENT"},
		{name: "rename folder on the way", do: rename("thru", "new", 0), want: "ok EACCES EACCES EACCES EACCES EACCES EACCES"},
		{name: "rename beyond the limit", do: rename("big", "small/new", 0), want: small, perm: "-"},
		{name: "rename within the limit", do: rename("f", "small/new", 0), want: writers, perm: "-"},
		{name: "rename link, no links", do: rename("l", "small/new", 0), want: "ok EPERM EPERM EACCES EACCES EACCES ENOENT", perm: "-"},
		{name: "rename folder, no folders", do: rename("full", "small/new", 0), want: "ok EPERM EPERM EACCES EACCES EACCES ENOENT", perm: "-"},
		{name: "exchange", do: rename("f", "g", exchange), want: movers, perm: moverA},
		{name: "exchange with rules", do: rename("f", "sub/RULES", exchange), want: admins},
		{name: "exchange file and folder", do: rename("f", "full", exchange), want: movers, perm: moverA},
		{name: "exchange beyond the limit", do: rename("big", "small/f", exchange), want: small, perm: "-"},
		{name: "symlink, no links", do: symlink("new", "f"), want: "ok EPERM EPERM EPERM EACCES EACCES EACCES", perm: "ok EPERM EACCES EPERM EACCES EACCES EACCES"},
		{name: "symlink", do: symlink("links/new", "../f"), want: "ok ok ok ok EACCES EACCES ENOENT", perm: "-"},
		{name: "symlink, absolute", do: symlink("links/new", "/etc/passwd"), want: "ok EPERM EPERM EPERM EACCES EACCES ENOENT", perm: "-"},
		{name: "symlink out of the datasite", do: symlink("links/new", "../../../../../x"), want: "ok EPERM EPERM EPERM EACCES EACCES ENOENT", perm: "-"},
		{name: "symlink as rules", do: symlink("links/RULES", "f"), want: "ok EPERM EACCES EACCES EACCES EACCES ENOENT", perm: "-"},
		{name: "chmod +x", do: chmod("f", 0o100), want: writers},
		{name: "chmod -x", do: chmod("x", 0o100), want: writers},
		{name: "chmod another bit", do: chmod("f", 0o040), want: "ok EPERM EPERM EACCES EACCES EACCES ENOENT"},
		{name: "chmod folder", do: chmod("d", 0o100), want: "ok EPERM EPERM EACCES EACCES EACCES ENOENT"},
		{name: "chmod rules", do: chmod("sub/RULES", 0o100), want: admins},
		{name: "utimens", do: utimens("f"), want: writers},
		{name: "utimens, folder", do: utimens("d"), want: writers},
		{name: "utimens, rules", do: utimens("sub/RULES"), want: admins},
		{name: "truncate", do: truncate("f", 3), want: writers},
		{name: "truncate, rules", do: truncate("sub/RULES", 0), want: admins},
		{name: "truncate beyond the limit", do: truncate("small/f", 11), want: small, perm: "-"},
		{name: "ftruncate", do: growing("f", wr, ftruncate(100)), want: writers},
		{name: "ftruncate beyond the limit", do: growing("small/f", wr, ftruncate(11)), want: small, perm: "-"},
		{name: "write", do: writing("f", wr, 3, 4), want: writers},
		{name: "write within the limit", do: writing("small/f", wr, 5, 5), want: writers, perm: "-"},
		{name: "write beyond the limit", do: writing("small/f", wr, 6, 5), want: small, perm: "-"},
		{name: "append", do: writing("f", wr|app, 3, 0), want: writers},
		{name: "append beyond the limit", do: writing("small/f", wr|app, 6, 0), want: small, perm: "-"},
		{name: "create within the limit", do: made(writing("small/new", wr|creat, 10, 0)), want: "ok ok ok ok EACCES EACCES ENOENT", perm: "-"},
		{name: "create beyond the limit", do: made(writing("small/new", wr|creat, 11, 0)), want: "ok made,EFBIG made,EFBIG made,EFBIG EACCES EACCES ENOENT", perm: "-"},
		{name: "fallocate", do: growing("f", wr, fallocate(0, 100)), want: writers},
		{name: "fallocate beyond the limit", do: growing("small/f", wr, fallocate(0, 11)), want: small, perm: "-"},
		{name: "fallocate beyond the limit, size kept", do: growing("small/f", wr, fallocate(unix.FALLOC_FL_KEEP_SIZE, 11)), want: small, perm: "-"},
		{name: "punch hole", do: growing("f", rw, fallocate(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 3)), want: writers},
		{name: "copy_file_range", do: growing("f", wr, copyFrom("big")).with("big"), want: writers},
		{name: "copy_file_range, rules", do: growing("sub/RULES", wr, copyFrom("big")).with("big"), want: admins},
		{name: "copy_file_range beyond the limit", do: growing("small/f", wr, copyFrom("big")).with("big"), want: small, perm: "-"},
		{name: "mmap shared, write", do: opening("f", rw, mapping(unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)), want: writers},
		{name: "setxattr", do: setxattr("f", "user.a"), want: writers},
		{name: "setxattr, rules", do: setxattr("sub/RULES", "user.a"), want: admins},
		{name: "removexattr", do: removexattr("f", "user.b"), want: writers},
	}
	for i := range changes {
		changes[i].changes = true
	}
	return append(looks, changes...)
}

// answers gives what each of people is answered; none if the row has no meaning in that language.
func (r row) answers(l language) []string {
	if l == permRules && r.perm != "" {
		r.want = r.perm
	}
	if r.want == "-" {
		return nil
	}
	out := strings.Fields(strings.ReplaceAll(r.want, "RULES", l.rules))
	if len(out) == 1 {
		out = slices.Repeat(out, len(people))
	}
	return out
}

// refused reports whether an answer is an errno.
func refused(answer string) bool { return strings.HasPrefix(answer, "E") }

// TestTable: every operation, by everybody, on what they may and may not see, on real mounts, in both languages.
func TestTable(t *testing.T) {
	everyUser(t, func(t *testing.T, h *host) {
		h.init()
		// What the watch notices moves the rules a moment after a row did, and a handle that is open in the next row asks again.
		h.configure(`watch: "on"`, `watch: "off"`)
		rows := table()
		for _, l := range []language{pubRules, permRules} {
			for i, person := range people {
				dir := h.backing(l.dir, person)
				h.lay(dir, map[string]string{l.rules: l.top(person)})
				h.layPlace(filepath.Join(dir, "looks"), l, person, nil)
				for n, r := range rows {
					if a := r.answers(l); r.changes && len(a) == len(people) && !refused(a[i]) {
						h.layPlace(filepath.Join(dir, fmt.Sprint("row", n)), l, person, r.do.names)
					}
				}
			}
		}
		h.start()
		h.untilReconciled() // each rule file that is found makes open handles ask again, also one whose rights it does not touch
		for _, person := range people[1:] {
			h.account(person)
			h.ok("view", address(person), h.path(person), "--write")
		}
		for _, l := range []language{pubRules, permRules} {
			t.Run(l.rules, func(t *testing.T) {
				for i, person := range people {
					h.column(t, l, rows, i, person)
				}
			})
		}
		h.stop()
	})
}

// column is what one person is answered. What was refused left everything as it was.
func (h *host) column(t *testing.T, l language, rows []row, i int, person string) {
	looks := h.backing(l.dir, person, "looks")
	before := snapshot(t, looks)
	a, mount := h.newActor(t), h.view(person, l.dir, person)
	if person == "owner" {
		mount = h.site(l.dir, person)
	}
	for n, r := range rows {
		want := r.answers(l)
		if want == nil {
			continue
		}
		if len(want) != len(people) {
			t.Fatalf("%s: %d answers", r.name, len(want))
		}
		place := "looks"
		if r.changes && !refused(want[i]) {
			place = fmt.Sprint("row", n)
		}
		if answer := a.row(l.dir, n, filepath.Join(mount, place)); answer != want[i] {
			t.Errorf("%s, %s: %s, want %s", r.name, person, answer, want[i])
		}
	}
	after := snapshot(t, looks)
	for name, was := range before {
		if after[name] != was {
			t.Errorf("%s: %s was %q and is %q after refusals", person, name, was, after[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if _, ok := before[name]; !ok {
			t.Errorf("%s: %s came to be by what was refused", person, name)
		}
	}
}
