package guard

import (
	"context"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

const (
	rd    = unix.O_RDONLY
	wr    = unix.O_WRONLY
	rw    = unix.O_RDWR
	creat = unix.O_CREAT
	excl  = unix.O_EXCL
	trunc = unix.O_TRUNC
	app   = unix.O_APPEND
)

type try func(ctx context.Context, v *View) error

func open(rel string, flag int) try {
	return func(ctx context.Context, v *View) error {
		f, err := v.Open(ctx, at(rel), flag, 0o644)
		if err != nil {
			return err
		}
		return f.Close()
	}
}

func stat(rel string) try {
	return func(ctx context.Context, v *View) error { _, err := v.Stat(ctx, at(rel)); return err }
}

func mkdir(rel string) try {
	return func(ctx context.Context, v *View) error { _, err := v.Mkdir(ctx, at(rel), 0o755); return err }
}

func remove(rel string) try {
	return func(ctx context.Context, v *View) error { return v.Remove(ctx, at(rel)) }
}

func rmdir(rel string) try {
	return func(ctx context.Context, v *View) error { return v.Rmdir(ctx, at(rel)) }
}

func rename(from, to string, flags uint) try {
	return func(ctx context.Context, v *View) error { return v.Rename(ctx, at(from), at(to), flags) }
}

func symlink(rel, target string) try {
	return func(ctx context.Context, v *View) error { _, err := v.Symlink(ctx, at(rel), target); return err }
}

func set(rel string, a Attr) try {
	return func(ctx context.Context, v *View) error { _, err := v.SetAttr(ctx, at(rel), nil, a); return err }
}

// chmod changes bits against what the view shows.
func chmod(rel string, change iofs.FileMode) try {
	return func(ctx context.Context, v *View) error {
		e, err := v.Stat(ctx, at(rel))
		if err != nil {
			return err
		}
		m := e.Mode.Perm() ^ change
		_, err = v.SetAttr(ctx, at(rel), nil, Attr{Mode: &m})
		return err
	}
}

func truncate(rel string, n int64) try { return set(rel, Attr{Size: &n}) }

func write(rel, body string) try {
	return func(ctx context.Context, v *View) error { return v.Write(ctx, at(rel), []byte(body)) }
}

func place(rel string, names ...string) try {
	return func(ctx context.Context, v *View) error {
		src := fstest.MapFS{}
		for _, n := range names {
			src[n] = &fstest.MapFile{Data: []byte("placed")}
		}
		return v.Place(ctx, datasite.Change{Op: datasite.OpPlace, Path: at(rel)}, src)
	}
}

func setxattr(rel, name string) try {
	return func(ctx context.Context, v *View) error { return v.SetXattr(ctx, at(rel), name, []byte("v"), 0) }
}

func temp(p datasite.Path, flag int) try {
	return func(ctx context.Context, v *View) error {
		f, err := v.OpenTemp(ctx, p, flag, 0o644)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte("temporary"), 0)
		return errors.Join(err, f.Flush(ctx), f.Sync(ctx, false), f.Close())
	}
}

// with opens a file for everybody who may and does something with the handle.
func with(rel string, flag int, do func(f *File) error) try {
	return func(ctx context.Context, v *View) error {
		f, err := v.Open(ctx, at(rel), flag, 0o644)
		if err != nil {
			return err
		}
		err = do(f)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		return err
	}
}

func writeAt(n int, off int64) func(*File) error {
	return func(f *File) error { _, err := f.WriteAt(make([]byte, n), off); return err }
}

func ptr[T any](v T) *T { return &v }

// The table of operations: what each of owner, admin, writer, creator, reader and a stranger is answered.
func TestTable(t *testing.T) {
	when := ptr(time.Unix(1_700_000_000, 0))
	const (
		all      = "ok ok ok ok ok ENOENT"
		writers  = "ok ok ok EACCES EACCES ENOENT"
		creators = "ok ok ok ok EACCES EACCES"
		admins   = "ok ok EACCES EACCES EACCES ENOENT"
		makers   = "ok ok EACCES EACCES EACCES EACCES" // of rule files
		mine     = "ok ENOENT ENOENT ENOENT ENOENT ENOENT"
		denied   = "ok EACCES EACCES EACCES EACCES EACCES"
		notHere  = "ENOENT ENOENT ENOENT ENOENT ENOENT ENOENT"
	)
	top := t
	var w *world
	for _, c := range []struct {
		name string
		do   try
		want string
	}{
		{"stat", stat("shared/f"), all},
		{"stat nothing", stat("shared/none"), notHere},
		{"stat below a file", stat("shared/f/x"), "ENOTDIR ENOENT ENOENT ENOENT ENOENT ENOENT"},
		{"open read", open("shared/f", rd), all},
		{"open write", open("shared/f", wr), writers},
		{"open read-write", open("shared/f", rw), writers},
		{"open append", open("shared/f", wr|app), writers},
		{"open truncate", open("shared/f", wr|trunc), writers},
		{"open read-only truncate", open("shared/f", rd|trunc), writers},
		{"open a folder", open("shared/d", rd), "EISDIR EISDIR EISDIR EISDIR EISDIR ENOENT"},
		{"open a link", open("shared/l", rd), "ELOOP ELOOP ELOOP ELOOP ELOOP ENOENT"},
		{"create", open("shared/new", wr|creat), creators},
		{"create exclusively", open("shared/new", wr|creat|excl), creators},
		{"create what is there", open("shared/f", wr|creat), "ok ok ok EACCES EACCES EACCES"},
		{"create what is there, for reading", open("shared/f", rd|creat), "ok ok ok ok ok EACCES"},
		{"create what is there exclusively", open("shared/f", wr|creat|excl), "EEXIST EEXIST EEXIST EEXIST EACCES EACCES"},
		{"create in nothing", open("shared/no/new", wr|creat), "ENOENT ENOENT ENOENT ENOENT EACCES EACCES"},
		{"create below a file", open("shared/f/new", wr|creat), "ENOTDIR ENOTDIR ENOTDIR ENOTDIR EACCES EACCES"},
		{"file without a name", temp(at("shared/d"), rw), "ok EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP ENOENT"},
		{"file without a name, at the top of the datasite", temp(at(""), wr), "ok EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP"},
		{"file without a name, hidden", temp(at("secret/d"), rw), mine},
		{"file without a name, in nothing", temp(at("shared/no"), rw), notHere},
		{"file without a name, in a file", temp(at("shared/f"), rw), "ENOTDIR ENOTDIR ENOTDIR ENOTDIR ENOTDIR ENOENT"},
		{"file without a name, for reading", temp(at("shared/d"), rd), "EINVAL EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP ENOENT"},
		{"file without a name, in a replica", temp(datasite.Path{Owner: peer, Rel: "public"}, rw), "EACCES ENOENT ENOENT ENOENT ENOENT ENOENT"},
		{"file without a name, at the root", temp(datasite.Path{}, rw), "EACCES EACCES EACCES EACCES EACCES EACCES"},
		{"mkdir", mkdir("shared/new"), creators},
		{"mkdir what is there", mkdir("shared/d"), "EEXIST EEXIST EEXIST EEXIST EACCES EACCES"},
		{"mkdir where a file is", mkdir("shared/f"), "EEXIST EEXIST EEXIST EEXIST EACCES EACCES"},
		{"unlink", remove("shared/f"), writers},
		{"unlink a link", remove("shared/l"), writers},
		{"unlink a folder", remove("shared/d"), "EISDIR EISDIR EISDIR EACCES EACCES ENOENT"},
		{"rmdir", rmdir("shared/d"), writers},
		{"rmdir what is full", rmdir("shared/full"), "ENOTEMPTY ENOTEMPTY ENOTEMPTY EACCES EACCES ENOENT"},
		{"rmdir a file", rmdir("shared/f"), "ENOTDIR ENOTDIR ENOTDIR EACCES EACCES ENOENT"},
		{"rename", rename("shared/f", "shared/new", 0), writers},
		{"rename over", rename("shared/f", "shared/g", 0), writers},
		{"rename over itself", rename("shared/f", "shared/f", 0), writers},
		{"rename over a folder", rename("shared/f", "shared/d", 0), "EISDIR EISDIR EISDIR EACCES EACCES ENOENT"},
		{"rename, not over", rename("shared/f", "shared/g", unix.RENAME_NOREPLACE), "EEXIST EEXIST EEXIST EACCES EACCES ENOENT"},
		{"rename exchange", rename("shared/f", "shared/g", unix.RENAME_EXCHANGE), writers},
		{"rename exchange with nothing", rename("shared/f", "shared/new", unix.RENAME_EXCHANGE), "ENOENT ENOENT ENOENT EACCES EACCES ENOENT"},
		{"rename with whiteout", rename("shared/f", "shared/new", unix.RENAME_WHITEOUT), "EINVAL EINVAL EINVAL EINVAL EINVAL EINVAL"},
		{"rename out of sight", rename("shared/f", "secret/new", 0), "ok EACCES EACCES EACCES EACCES ENOENT"},
		{"rename over what is hidden", rename("shared/f", "secret/f", 0), "ok EACCES EACCES EACCES EACCES ENOENT"},
		{"rename what is hidden", rename("secret/f", "shared/new", 0), mine},
		{"rename folder", rename("shared/full", "shared/new", 0), writers},
		{"rename folder over empty", rename("shared/full", "shared/d", 0), writers},
		{"rename folder over full", rename("shared/d", "shared/full", 0), "ENOTEMPTY ENOTEMPTY ENOTEMPTY EACCES EACCES ENOENT"},
		{"rename folder over a file", rename("shared/d", "shared/f", 0), "ENOTDIR ENOTDIR ENOTDIR EACCES EACCES ENOENT"},
		{"rename folder into itself", rename("shared/full", "shared/full/y/new", 0), "EINVAL EINVAL EINVAL EACCES EACCES ENOENT"},
		{"rename folder with rules in it", rename("shared/sub", "shared/new", 0), admins},
		{"rename folder out of sight", rename("shared/full", "secret/new", 0), "ok EACCES EACCES EACCES EACCES ENOENT"},
		{"rename folder to no folders", rename("shared/full", "small/new", 0), "ok EPERM EPERM EACCES EACCES ENOENT"},
		{"exchange folder and file", rename("shared/full", "shared/f", unix.RENAME_EXCHANGE), writers},
		{"symlink", symlink("shared/new", "f"), "ok EPERM EPERM EPERM EACCES EACCES"},
		{"symlink where allowed", symlink("links/new", "f"), creators},
		{"symlink upwards inside", symlink("links/new", "../shared/f"), creators},
		{"symlink out of the datasite", symlink("links/new", "../../x"), "ok EPERM EPERM EPERM EACCES EACCES"},
		{"symlink around a corner", symlink("links/new", "d/../../x"), "ok EPERM EPERM EPERM EACCES EACCES"},
		{"symlink absolute", symlink("links/new", "/etc/passwd"), "ok EPERM EPERM EPERM EACCES EACCES"},
		{"symlink as a rule file", symlink("links/syft.pub.yaml", "f"), "ok EPERM EACCES EACCES EACCES EACCES"},
		{"readlink", func(ctx context.Context, v *View) error { _, err := v.Readlink(ctx, at("shared/l")); return err }, all},
		{"readlink of a file", func(ctx context.Context, v *View) error { _, err := v.Readlink(ctx, at("shared/f")); return err }, "EINVAL EINVAL EINVAL EINVAL EINVAL ENOENT"},
		{"chmod +x", chmod("shared/f", 0o100), writers},
		{"chmod other bits", chmod("shared/f", 0o040), "ok EPERM EPERM EACCES EACCES ENOENT"},
		{"chmod without change", chmod("shared/f", 0), all},
		{"chmod a folder", chmod("shared/d", 0o100), "ok EPERM EPERM EACCES EACCES ENOENT"},
		{"chown to somebody", set("shared/f", Attr{UID: ptr(uint32(4711))}), "EPERM EPERM EPERM EPERM EPERM ENOENT"},
		{"utimens", set("shared/f", Attr{MTime: when}), writers},
		{"truncate", truncate("shared/f", 2), writers},
		{"truncate a folder", truncate("shared/d", 2), "EISDIR EISDIR EISDIR EACCES EACCES ENOENT"},
		{"getxattr", func(ctx context.Context, v *View) error { _, err := v.Xattr(ctx, at("shared/f"), "user.a"); return err }, "ENODATA ENODATA ENODATA ENODATA ENODATA ENOENT"},
		{"listxattr", func(ctx context.Context, v *View) error { _, err := v.Xattrs(ctx, at("shared/f")); return err }, all},
		{"setxattr", setxattr("shared/f", "user.a"), writers},
		{"setxattr security", setxattr("shared/f", "security.a"), "EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP"},
		{"write whole", write("shared/f", "new"), "ok ok ok EACCES EACCES EACCES"},
		{"write whole, new, parents missing", write("shared/p/q/new", "new"), creators},
		{"write whole where a folder is", write("shared/d", "new"), "EISDIR EISDIR EISDIR EACCES EACCES EACCES"},
		{"place", place("shared/new", "a", "b/c"), creators},
		{"place over", place("shared/full", "a"), "ok ok ok EACCES EACCES EACCES"},
		{"place over rules", place("shared/sub", "a"), makers},
		{"place with rules", place("shared/new", "a/syft.pub.yaml"), makers},
		{"remove all", func(ctx context.Context, v *View) error { return v.RemoveAll(ctx, at("shared/full")) }, denied},
		{"list", func(ctx context.Context, v *View) error { _, err := v.List(ctx, at("shared")); return err }, all},
		{"list a file", func(ctx context.Context, v *View) error { _, err := v.List(ctx, at("shared/f")); return err }, "ENOTDIR ENOTDIR ENOTDIR ENOTDIR ENOTDIR ENOENT"},

		{"hidden: stat", stat("secret/f"), mine},
		{"hidden: stat folder", stat("secret"), mine},
		{"hidden: list", func(ctx context.Context, v *View) error { _, err := v.List(ctx, at("secret")); return err }, mine},
		{"hidden: open", open("secret/f", rd), mine},
		{"hidden: open write", open("secret/f", wr|trunc), mine},
		{"hidden: create over", open("secret/f", wr|creat), denied},
		{"hidden: create over exclusively", open("secret/f", wr|creat|excl), "EEXIST EACCES EACCES EACCES EACCES EACCES"},
		{"hidden: create beside", open("secret/new", wr|creat), denied},
		{"hidden: mkdir over", mkdir("secret/d"), "EEXIST EACCES EACCES EACCES EACCES EACCES"},
		{"hidden: unlink", remove("secret/f"), mine},
		{"hidden: unlink nothing", remove("secret/none"), notHere},
		{"hidden: rmdir", rmdir("secret/d"), mine},
		{"hidden: truncate", truncate("secret/f", 0), mine},
		{"hidden: chmod", set("secret/f", Attr{Mode: ptr(iofs.FileMode(0o700))}), mine},
		{"hidden: setxattr", setxattr("secret/f", "user.a"), mine},
		{"hidden: write whole", write("secret/f", "x"), denied},

		{"rules: stat", stat("shared/sub/syft.pub.yaml"), all},
		{"rules: read", open("shared/sub/syft.pub.yaml", rd), all},
		{"rules: write", open("shared/sub/syft.pub.yaml", wr), admins},
		{"rules: truncate at open", open("shared/sub/syft.pub.yaml", wr|trunc), admins},
		{"rules: create", open("shared/d/syft.pub.yaml", wr|creat), makers},
		{"rules: create the other kind", open("shared/d/syftperm.yaml", wr|creat|excl), makers},
		{"rules: create exclusively what is there", open("shared/sub/syft.pub.yaml", wr|creat|excl), "EEXIST EEXIST EACCES EACCES EACCES EACCES"},
		{"rules: unlink", remove("shared/sub/syft.pub.yaml"), admins},
		{"rules: rename away", rename("shared/sub/syft.pub.yaml", "shared/new", 0), admins},
		{"rules: rename here", rename("shared/f", "shared/d/syft.pub.yaml", 0), admins},
		{"rules: rename over", rename("shared/f", "shared/sub/syft.pub.yaml", 0), admins},
		{"rules: exchange", rename("shared/f", "shared/sub/syft.pub.yaml", unix.RENAME_EXCHANGE), admins},
		{"rules: a folder becomes one", rename("shared/d", "shared/full/syft.pub.yaml", 0), "ok EPERM EACCES EACCES EACCES ENOENT"},
		{"rules: mkdir", mkdir("shared/d/syft.pub.yaml"), "ok EPERM EACCES EACCES EACCES EACCES"},
		{"rules: truncate", truncate("shared/sub/syft.pub.yaml", 0), admins},
		{"rules: chmod", chmod("shared/sub/syft.pub.yaml", 0o100), admins},
		{"rules: utimens", set("shared/sub/syft.pub.yaml", Attr{MTime: when}), admins},
		{"rules: setxattr", setxattr("shared/sub/syft.pub.yaml", "user.a"), admins},
		{"rules: write whole", write("shared/sub/syft.pub.yaml", ""), makers},
		{"rules: only the name counts", open("shared/d/my.syft.pub.yaml", wr|creat), creators},

		{"limit: write within", with("small/f", wr, writeAt(5, 5)), writers},
		{"limit: write beyond", with("small/f", wr, writeAt(6, 5)), "ok EFBIG EFBIG EACCES EACCES ENOENT"},
		{"limit: append beyond", with("small/f", wr|app, writeAt(6, 0)), "ok EFBIG EFBIG EACCES EACCES ENOENT"},
		{"limit: new file within", with("small/new", wr|creat, writeAt(10, 0)), creators},
		{"limit: new file beyond", with("small/new", wr|creat, writeAt(11, 0)), "ok EFBIG EFBIG EFBIG EACCES EACCES"},
		{"limit: ftruncate", with("small/f", wr, func(f *File) error { return f.Truncate(11) }), "ok EFBIG EFBIG EACCES EACCES ENOENT"},
		{"limit: truncate", truncate("small/f", 11), "ok EFBIG EFBIG EACCES EACCES ENOENT"},
		{"limit: fallocate", with("small/f", wr, func(f *File) error { return f.Allocate(0, 0, 11) }), "ok EFBIG EFBIG EACCES EACCES ENOENT"},
		{"limit: fallocate, size kept", with("small/f", wr, func(f *File) error { return f.Allocate(unix.FALLOC_FL_KEEP_SIZE, 0, 11) }), "ok EFBIG EFBIG EACCES EACCES ENOENT"},
		{"limit: write whole", write("small/new", "eleven bytes"), "ok EFBIG EFBIG EFBIG EACCES EACCES"},
		{"limit: folder", mkdir("small/new"), "ok EPERM EPERM EPERM EACCES EACCES"},
		{"limit: missing parents", write("small/p/new", "x"), "ok EPERM EPERM EPERM EACCES EACCES"},
		{"limit: symlink", symlink("small/new", "f"), "ok EPERM EPERM EPERM EACCES EACCES"},
		{"limit: link moved in", rename("shared/l", "small/new", 0), "ok EPERM EPERM EACCES EACCES ENOENT"},
		{"limit: file moved in", rename("shared/sub/syft.pub.yaml", "small/new", 0), "ok EFBIG EACCES EACCES EACCES ENOENT"},

		{"the top: mkdir", func(ctx context.Context, v *View) error {
			_, err := v.Mkdir(ctx, datasite.Path{Owner: "new@x.org"}, 0o755)
			return err
		}, "EACCES EACCES EACCES EACCES EACCES EACCES"},
		{"the top: create", func(ctx context.Context, v *View) error {
			_, err := v.Open(ctx, datasite.Path{Owner: "new@x.org"}, wr|creat, 0o644)
			return err
		}, "EACCES EACCES EACCES EACCES EACCES EACCES"},
		{"the datasite: rmdir", rmdir(""), "EBUSY EACCES EACCES EACCES EACCES EACCES"},
		{"the datasite: rename", rename("", "shared/new", 0), "EBUSY EACCES EACCES EACCES EACCES EACCES"},
		{"names of our own: look", stat("shared/.syftfs-tmp-1"), notHere},
		{"names of our own: create", open("shared/.syftfs-tmp-1", wr|creat), "EPERM EPERM EPERM EPERM EACCES EACCES"},
		{"names of our own: mkdir", mkdir("shared/.syftfs-x"), "EPERM EPERM EPERM EPERM EACCES EACCES"},
		{"names of our own: rename", rename("shared/f", "shared/.syftfs-x", 0), "EPERM EPERM EPERM EACCES EACCES ENOENT"},
		{"names of our own: write whole", write("shared/.syftfs-x", "x"), "EPERM EPERM EPERM EPERM EACCES EACCES"},
		{"names of our own: place", place("shared/.syftfs-x", "x"), "EPERM EPERM EPERM EPERM EACCES EACCES"},
		{"fsync of a folder", func(ctx context.Context, v *View) error { return v.SyncDir(ctx, at("shared")) }, all},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := strings.Fields(c.want)
			for i, u := range everybody {
				if w == nil {
					w = newWorld(top)
				}
				before := snapshot(t, w.dir)
				err := c.do(t.Context(), w.views[u])
				if got := errno(err); got != want[i] {
					t.Errorf("%s: %s (%v), want %s", u, got, err, want[i])
				}
				changed, recorded := cmp.Diff(before, snapshot(t, w.dir)), len(w.mem.take()) > 0
				if err != nil && (changed != "" || recorded) && !strings.HasPrefix(c.name, "limit: new file beyond") {
					t.Errorf("%s: refused, but recorded: %v, and changed on the disk:\n%s", u, recorded, changed)
				}
				if changed != "" || recorded {
					w = nil // the next one starts afresh
				}
			}
		})
	}
}

// snapshot gives every path below dir with its mode and content.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(dir, func(p string, e iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		info, err := e.Info()
		if err != nil {
			return err
		}
		out[rel] = info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			body, err := os.ReadFile(p)
			out[rel] += " " + string(body)
			return err
		case info.Mode()&modeSymlink != 0:
			target, err := os.Readlink(p)
			out[rel] += " " + target
			return err
		}
		return nil
	}))
	delete(out, stagingDir)
	return out
}

const stagingDir = ".syftfs-staging"
