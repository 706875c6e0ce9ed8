package integration

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// The people of the table: each holds another level on everything below shared/.
var levels = map[string]string{
	"reader":  "reader@people.example",
	"creator": "creator@people.example",
	"writer":  "writer@people.example",
	"admin":   "admin@people.example",
	"nobody":  "nobody@people.example",
}

const sharedRules = `rules:
- pattern: '**'
  access:
    admin: [admin@people.example]
    write: [writer@people.example]
    create: [creator@people.example]
    read: [reader@people.example]
`

// TestTable: open, create, rename and readdir on real mounts, by everybody, on files and on rule files.
func TestTable(t *testing.T) {
	everyUser(t, func(t *testing.T, h *host) {
		h.init()
		h.start()
		for _, name := range slices.Sorted(maps.Keys(levels)) {
			h.person(levels[name], name)
		}
		own := h.newActor(t)
		own.mkdir(h.site("shared"))
		own.write(h.site("shared", "syft.pub.yaml"), sharedRules)
		own.mkdir(h.site("secret"))
		own.write(h.site("secret", "diary.txt"), "mine")

		type row struct {
			who                                           string
			read, write, create, createRule, rename, over string // errno; "" is success
			readRule, writeRule, renameRule, removeRule   string
			remove, mkdir, truncate, chmod, link, symlink string
			list                                          []string
			listErr                                       string
		}
		const no, gone, never = "EACCES", "ENOENT", "EPERM"
		all := []string{"a.txt", "b.txt", "run.sh", "sub", "syft.pub.yaml"}
		rows := []row{
			{who: "owner", link: never, list: append(slices.Clone(all), "owner-new.txt", "owner-dir", "owner-link")},
			{who: "admin", link: never, symlink: never, list: append(slices.Clone(all), "admin-new.txt", "admin-dir")},
			{who: "writer", link: never, symlink: never, createRule: no, writeRule: no, renameRule: no, removeRule: no, list: append(slices.Clone(all), "writer-new.txt", "writer-dir")},
			{who: "creator", link: never, symlink: never, write: no, createRule: no, rename: no, over: no, writeRule: no, renameRule: no, removeRule: no, remove: no, truncate: no, chmod: no,
				list: append(slices.Clone(all), "creator-new.txt", "creator-dir")},
			{who: "reader", link: never, symlink: no, write: no, create: no, createRule: no, rename: no, over: no, writeRule: no, renameRule: no, removeRule: no, remove: no, mkdir: no, truncate: no, chmod: no, list: all},
			{who: "nobody", link: gone, symlink: gone, read: gone, write: gone, create: gone, createRule: gone, rename: gone, over: gone, readRule: gone, writeRule: gone, renameRule: gone, removeRule: gone, remove: gone,
				mkdir: gone, truncate: gone, chmod: gone, listErr: gone},
		}
		for _, r := range rows {
			t.Run(r.who, func(t *testing.T) {
				own.t = t
				for _, name := range []string{"a.txt", "b.txt", "run.sh"} {
					own.write(h.site("shared", name), "content of "+name)
				}
				own.do(call{Op: "mkdir", Path: h.site("shared", "sub"), Mode: 0o755})
				own.write(h.site("shared", "sub", "syft.pub.yaml"), sharedRules)
				own.write(h.site("shared", "sub", "c.txt"), "c")
				a, at := h.newActor(t), func(parts ...string) string { return h.view(r.who, append([]string{"shared"}, parts...)...) }
				if r.who == "owner" {
					at = func(parts ...string) string { return h.site(append([]string{"shared"}, parts...)...) }
				}
				open := func(path string, flags int) call { return call{Op: "open", Path: path, Flags: flags, Mode: 0o644} }
				new := func(name string) string { return at(r.who + "-" + name) }

				a.want(r.read, open(at("a.txt"), unix.O_RDONLY))
				a.want(r.write, open(at("a.txt"), unix.O_WRONLY))
				a.want(r.write, open(at("a.txt"), unix.O_RDWR))
				a.want(r.write, open(at("a.txt"), unix.O_WRONLY|unix.O_TRUNC))
				a.want(r.write, open(at("a.txt"), unix.O_WRONLY|unix.O_APPEND))
				a.want(r.create, open(new("new.txt"), unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL))
				a.want(r.mkdir, call{Op: "mkdir", Path: new("dir"), Mode: 0o755})
				a.want(r.readRule, open(at("syft.pub.yaml"), unix.O_RDONLY))
				a.want(r.writeRule, open(at("syft.pub.yaml"), unix.O_WRONLY))
				a.want(r.truncate, call{Op: "truncate", Path: at("a.txt"), Off: 3})
				a.want(r.chmod, call{Op: "chmod", Path: at("run.sh"), Mode: 0o700})
				a.want(r.link, call{Op: "link", Path: at("a.txt"), To: new("hard")})
				a.want(r.symlink, call{Op: "symlink", Path: new("link"), To: "a.txt"})
				list := a.do(call{Op: "readdir", Path: at()})
				if want := slices.Sorted(slices.Values(r.list)); list.Errno != r.listErr || !slices.Equal(list.Names, want) {
					t.Errorf("readdir: %q %q, want %q %q", list.Names, list.Errno, want, r.listErr)
				}
				// What changes the tree for the rows below comes last.
				a.want(r.rename, call{Op: "rename", Path: at("a.txt"), To: new("moved.txt")})
				a.want(r.over, call{Op: "rename", Path: at("b.txt"), To: at("run.sh")})
				a.want(r.remove, call{Op: "unlink", Path: at("run.sh")})
				a.want(r.renameRule, call{Op: "rename", Path: at("sub", "syft.pub.yaml"), To: at("sub", "old.txt")})
				a.want(r.createRule, open(at("sub", "syftperm.yaml"), unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL))
				own.write(h.site("shared", "sub", "syft.pub.yaml"), sharedRules)
				a.want(r.removeRule, call{Op: "unlink", Path: at("sub", "syft.pub.yaml")})

				// Nothing of it helps with what is hidden, and nothing tells whether it is there.
				if r.who != "owner" {
					for _, name := range []string{"diary.txt", "other.txt"} {
						p := h.view(r.who, "secret", name)
						a.want(gone, open(p, unix.O_RDONLY))
						a.want(gone, call{Op: "stat", Path: p})
						a.want(gone, call{Op: "unlink", Path: p})
					}
					if top := a.do(call{Op: "readdir", Path: h.view(r.who)}); slices.Contains(top.Names, "secret") {
						t.Errorf("secret is listed: %q", top.Names)
					}
				}
				for _, name := range []string{"new.txt", "dir", "link", "moved.txt", "sub/old.txt", "sub/syftperm.yaml"} {
					for _, p := range []string{h.site("shared", r.who+"-"+name), h.site("shared", name)} {
						own.do(call{Op: "unlink", Path: p})
						own.do(call{Op: "rmdir", Path: p})
					}
				}
			})
		}
		h.stop()
	})
}

// TestRuleChangeReachesOpenFiles: a rule edited with an editor's save pattern takes effect at once in another mount, with a file open there.
func TestRuleChangeReachesOpenFiles(t *testing.T) {
	allow := "rules:\n- pattern: '**'\n  access: {read: [" + rachel + "]}\n"
	deny := "rules:\n- pattern: '**'\n  access: {read: []}\n"
	saves := map[string]func(own *actor, path, text string){
		"in place": func(own *actor, path, text string) { own.write(path, text) },
		"rename over": func(own *actor, path, text string) { // vim with backupcopy=no, and most others
			own.write(path+".tmp", text)
			own.ok(call{Op: "rename", Path: path + ".tmp", To: path})
		},
		"backup and new": func(own *actor, path, text string) { // the old one is moved away first
			own.ok(call{Op: "rename", Path: path, To: path + "~"})
			own.write(path, text)
		},
	}
	everyUser(t, func(t *testing.T, h *host) {
		h.init()
		h.start()
		h.person(rachel, "rachel")
		own, her := h.newActor(t), h.newActor(t)
		for name, save := range saves {
			t.Run(name, func(t *testing.T) {
				own.t, her.t = t, t
				dir := fmt.Sprintf("d-%d", len(name))
				rules, file := h.site(dir, "syft.pub.yaml"), h.view("rachel", dir, "f.txt")
				own.mkdir(h.site(dir))
				own.write(h.site(dir, "f.txt"), "the first line\n")
				her.want("ENOENT", call{Op: "open", Path: file})
				own.write(rules, allow)
				f := her.ok(call{Op: "open", Path: file}).File
				if got := string(her.ok(call{Op: "read", File: f, N: 100}).Data); got != "the first line\n" {
					t.Fatalf("read %q", got)
				}
				save(own, rules, deny)
				her.want("EACCES", call{Op: "read", File: f, N: 100})
				her.want("ENOENT", call{Op: "open", Path: file})
				her.want("ENOENT", call{Op: "stat", Path: file})
				save(own, rules, allow)
				if got := string(her.ok(call{Op: "read", File: f, N: 100}).Data); got != "the first line\n" {
					t.Fatalf("read %q after the right came back", got)
				}
				if got := her.read(file); got != "the first line\n" {
					t.Fatalf("a new open reads %q", got)
				}
				her.ok(call{Op: "close", File: f})
			})
		}
		h.stop()
	})
}
