package integration

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Boxes into which people put something, and see only their own.
var boxRules = map[string]string{
	"pub/syft.pub.yaml": `rules:
- {pattern: "*", access: {read: ["*"]}}
- {pattern: "letters/{{.UserEmail}}-*", access: {create: [USER]}}
- {pattern: "hashes/{{.UserHash}}/**", access: {create: [USER]}}
- {pattern: "rooms/{{.UserEmail}}/**", access: {write: [USER]}}
- {pattern: "board/**", access: {create: ["*"]}}
`,
	"perm/syftperm.yaml": `- {path: "*", permissions: read, user: "*"}
- {path: "letters/{useremail}-*", permissions: [read, create], user: "*"}
- {path: "blind/{useremail}-*", permissions: [create], user: "*"}
- {path: "rooms/{useremail}", permissions: [read, create], user: "*"}
- {path: "rooms/{useremail}/**", permissions: [read, create, write], user: "*"}
`,
	"pub/letters/": "", "pub/hashes/": "", "pub/rooms/": "", "pub/board/": "",
	"perm/letters/": "", "perm/blind/": "", "perm/rooms/": "",
}

// boxes are steps that are done in this order; want has the answers of ann, ben and somebody who is not signed in.
func boxes() []row {
	const (
		ann  = "ann@people.example"
		hash = "c0f82be55251a177" // of ann@people.example
	)
	put := func(name string) operation {
		return opening(name, unix.O_WRONLY|creat|excl, func(_ spot, fd int) (string, error) {
			for at, text := range []string{"a", "b"} { // whoever made it may write until it is closed
				if _, err := unix.Pwrite(fd, []byte(text), int64(at)); err != nil {
					return "", err
				}
			}
			return "", nil
		})
	}
	return []row{
		//                                                                          ann ben any
		{name: "list the empty box", do: list("pub/letters"), want: "[] [] []"},
		{name: "a name of nobody's", do: put("pub/letters/x"), want: "EACCES EACCES EACCES"},
		{name: "a letter", do: put("pub/letters/" + ann + "-1"), want: "ok EACCES EACCES"},
		{name: "stat", do: stat("pub/letters/" + ann + "-1"), want: "ok ENOENT ENOENT"},
		{name: "list", do: list("pub/letters"), want: "[" + ann + "-1] [] []"},
		{name: "read", do: open("pub/letters/"+ann+"-1", rd), want: "ok ENOENT ENOENT"},
		{name: "the same name again", do: put("pub/letters/" + ann + "-1"), want: "EEXIST EACCES EACCES"},
		{name: "change", do: open("pub/letters/"+ann+"-1", wr), want: "EACCES ENOENT ENOENT"},
		{name: "take back", do: unlink("pub/letters/" + ann + "-1"), want: "EACCES ENOENT ENOENT"},
		{name: "move", do: rename("pub/letters/"+ann+"-1", "pub/letters/"+ann+"-2", 0), want: "EACCES ENOENT ENOENT"},
		{name: "rules in the box", do: put("pub/letters/syft.pub.yaml"), want: "EACCES EACCES EACCES"},

		{name: "folder by hash", do: mkdir("pub/hashes/" + hash), want: "ok EACCES EACCES"},
		{name: "file in it", do: put("pub/hashes/" + hash + "/data"), want: "ok ENOENT ENOENT"},
		{name: "list by hash", do: list("pub/hashes"), want: "[" + hash + "] [] []"},

		{name: "mode of the rooms", do: mode("pub/rooms"), want: "0700 0700 0500"}, // one may be made
		{name: "room", do: mkdir("pub/rooms/" + ann), want: "ok EACCES EACCES"},
		{name: "file in the room", do: put("pub/rooms/" + ann + "/f"), want: "ok ENOENT ENOENT"},
		{name: "change in the room", do: writing("pub/rooms/"+ann+"/f", wr, 3, 0), want: "ok ENOENT ENOENT"},
		{name: "remove in the room", do: unlink("pub/rooms/" + ann + "/f"), want: "ok ENOENT ENOENT"},
		{name: "list the rooms", do: list("pub/rooms"), want: "[" + ann + "] [] []"},

		{name: "on the board", do: put("pub/board/note"), want: "ok EEXIST EEXIST"},
		{name: "read the board", do: open("pub/board/note", rd), want: "ok ok ok"},
		{name: "change the board", do: open("pub/board/note", wr), want: "EACCES EACCES EACCES"},
		{name: "list the board", do: list("pub/board"), want: "[note] [note] [note]"},

		{name: "a letter, syftperm.yaml", do: put("perm/letters/" + ann + "-1"), want: "ok EACCES EACCES"},
		{name: "list, syftperm.yaml", do: list("perm/letters"), want: "[" + ann + "-1] [] []"},
		{name: "change, syftperm.yaml", do: open("perm/letters/"+ann+"-1", wr), want: "EACCES ENOENT ENOENT"},
		{name: "create without read", do: put("perm/blind/" + ann + "-1"), want: "EACCES EACCES EACCES"},
		{name: "room, syftperm.yaml", do: mkdir("perm/rooms/" + ann), want: "ok EACCES EACCES"},
		{name: "file in the room, syftperm.yaml", do: put("perm/rooms/" + ann + "/f"), want: "ok ENOENT ENOENT"},
		{name: "remove in the room, syftperm.yaml", do: unlink("perm/rooms/" + ann + "/f"), want: "ok ENOENT ENOENT"},
		{name: "list the rooms, syftperm.yaml", do: list("perm/rooms"), want: "[" + ann + "] [] []"},
	}
}

// TestBoxes: folders into which everybody may put something and sees only their own.
func TestBoxes(t *testing.T) {
	everyUser(t, func(t *testing.T, h *host) {
		h.init()
		h.lay(h.backing(), boxRules)
		h.start()
		var actors []*actor
		var mounts []string
		for _, name := range []string{"ann", "ben", "any"} {
			h.account(name)
			h.ok("view", address(name), h.path(name), "--write")
			actors, mounts = append(actors, h.newActor(t)), append(mounts, h.view(name))
		}
		for n, r := range boxes() {
			for i, want := range strings.Fields(r.want) {
				if got := actors[i].row("boxes", n, mounts[i]); got != want {
					t.Errorf("%s, %s: %s, want %s", r.name, filepath.Base(filepath.Dir(mounts[i])), got, want)
				}
			}
		}
		if got := h.newActor(t).read(h.site("pub", "letters", address("ann")+"-1")); got != "ab" {
			t.Errorf("the owner reads %q", got)
		}
		h.stop()
	})
}
