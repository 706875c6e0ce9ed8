package integration

import (
	"fmt"
	iofs "io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The people of the table, in the order of its columns. "any" is not signed in, and works where "*" may read; "nobody" is signed in and
// named nowhere (in syftperm.yaml for rights that count for nothing without read).
var people = []string{"owner", "admin", "writer", "creator", "reader", "any", "nobody"}

func address(person string) string { return person + "@people.example" }

// language is one of the two kinds of rule file.
type language struct {
	dir   string // of the datasite, where its part of the table plays
	rules string // the name of its rule files
	other string
}

var (
	pubRules  = language{"pub", "syft.pub.yaml", "syftperm.yaml"}
	permRules = language{"perm", "syftperm.yaml", "syft.pub.yaml"}
)

// top is the rule file above the places of one person.
func (l language) top(person string) string {
	if l == permRules {
		everyone := ""
		if person == "any" {
			everyone = "- {path: '**', permissions: [read], user: '*'}\n"
		}
		hide := func(path string) string {
			return "- {path: '" + path + "', permissions: [read, create, write, admin], user: '*', type: disallow}\n"
		}
		return everyone + `- {path: "**", permissions: [admin], user: admin@people.example}
- {path: "**", permissions: [read, write], user: writer@people.example}
- {path: "**", permissions: [read, create], user: creator@people.example}
- {path: "**", permissions: [read], user: reader@people.example}
- {path: "**", permissions: [create, write], user: nobody@people.example}
` + hide("*/hidden.txt") + hide("*/shade/hidden.txt") + hide("*/hid") + hide("*/hid/**") + hide("*/thru") + hide("*/thru/**") +
			`- {path: "*/thru/in/open.txt", permissions: read, user: "*"}
`
	}
	a := pubAccess(person)
	return `rules:
- {pattern: "**", access: ` + a + `}
- {pattern: "*/small/**", access: ` + a + `, limits: {maxFileSize: 10, allowDirs: false}}
- {pattern: "*/links/**", access: ` + a + `, limits: {allowSymlinks: true}}
- {pattern: "*/hidden.txt", access: {}}
- {pattern: "*/shade/hidden.txt", access: {}}
- {pattern: "*/thru/**", access: {}}
- {pattern: "*/thru/in/open.txt", access: {read: ["*"]}}
`
}

func pubAccess(person string) string {
	read := "reader@people.example"
	if person == "any" {
		read = "'*'"
	}
	return "{admin: [admin@people.example], write: [writer@people.example], create: [creator@people.example], read: [" + read + "]}"
}

// placeOf is what lies in each place of the table: names that end in a slash are folders, "-> " makes a link, "+x " a program.
func (l language) placeOf(person string) map[string]string {
	out := map[string]string{
		"f": "hello", "g": "gg", "big": "twenty bytes of text", "x": "+x #!/bin/sh\nexit 0\n", "l": "-> f",
		"d/": "", "full/x": "x", "full/y/z": "z", "sub/f": "sub", // sub has rules of its own
		"hidden.txt": "hidden", "hid/in": "hidden", "shade/hidden.txt": "hidden", // for the owner only
		"thru/closed.txt": "hidden", "thru/in/open.txt": "open", // thru is there for what "*" may read in it
	}
	if l == permRules {
		out["sub/"+l.rules] = "[]\n"
		return out
	}
	out["sub/"+l.rules] = "rules:\n- {pattern: '**', access: " + pubAccess(person) + "}\n"
	out["hid/"+l.rules] = "rules: []\n"
	out["small/f"] = "small"
	out["links/"] = ""
	return out
}

// account makes a person of the table known: somebody who is not signed in has the account of a guest.
func (h *host) account(person string) {
	h.t.Helper()
	role := "data_scientist"
	if person == "any" {
		role = "guest"
	}
	h.ok("users", "create", "--email", address(person), "--name", person, "--role", role)
}

// lay puts files below dir on the disk, as the person of h, who has started nothing yet.
func (h *host) lay(dir string, files map[string]string) {
	h.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		full, body := filepath.Join(dir, name), files[name]
		var made []string
		for up := filepath.Dir(full); ; up = filepath.Dir(up) {
			if _, err := os.Lstat(up); err == nil {
				break
			}
			made = append(made, up)
		}
		err := os.MkdirAll(filepath.Dir(full), 0o755)
		text, program := strings.CutPrefix(body, "+x ")
		target, link := strings.CutPrefix(body, "-> ")
		switch {
		case err != nil:
		case strings.HasSuffix(name, "/"):
			err = os.Mkdir(full, 0o755)
		case link:
			err = os.Symlink(target, full)
		case program:
			err = os.WriteFile(full, []byte(text), 0o755)
		default:
			err = os.WriteFile(full, []byte(text), 0o644)
		}
		for _, p := range append(made, full) {
			if err == nil && h.user != nil {
				err = os.Lchown(p, int(h.user.UID), int(h.user.GID))
			}
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

// layPlace is lay for one place of the table, with what the names need, or everything; f has an attribute.
func (h *host) layPlace(dir string, l language, person string, names []string) {
	h.t.Helper()
	files := l.placeOf(person)
	top := func(name string) string { t, _, _ := strings.Cut(name, "/"); return t }
	if names != nil {
		names = append(slices.Clone(names), "d")
		maps.DeleteFunc(files, func(file, _ string) bool {
			return !slices.ContainsFunc(names, func(name string) bool { return top(name) == top(file) || name == "l" && file == "f" })
		})
	}
	h.lay(dir, files)
	if files["f"] == "" {
		return
	}
	if err := unix.Setxattr(filepath.Join(dir, "f"), "user.b", []byte("b"), 0); err != nil {
		h.t.Fatal(err)
	}
}

// snapshot gives every name below dir with its mode, content and attributes.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		body := ""
		switch {
		case info.Mode().IsRegular():
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			attrs := make([]byte, 1024)
			n, err := unix.Listxattr(p, attrs)
			if err != nil {
				return err
			}
			body = fmt.Sprintf("%q %q", b, attrs[:n])
		case info.Mode()&iofs.ModeSymlink != 0:
			body, err = os.Readlink(p)
		}
		rel, _ := filepath.Rel(dir, p)
		out[rel] = info.Mode().String() + " " + body
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
