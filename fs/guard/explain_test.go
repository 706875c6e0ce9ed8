package guard

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// One of the files has rules of its own, which readers may not read; "shared/vault" is a folder that its own rules hide.
func explained(t *testing.T) *world {
	w := newWorld(t)
	put(t, filepath.Join(w.dir, string(owner)), map[string]string{
		"shared/own/syft.pub.yaml": `rules:
- {pattern: "syft.pub.yaml", access: {admin: [admin@x.org]}}
- {pattern: "f", access: {admin: [admin@x.org], read: [reader@x.org, secret@x.org]}}
- {pattern: "g", access: {read: [other@x.org]}}
`,
		"shared/own/f": "f", "shared/own/g": "g",
		"shared/vault/syft.pub.yaml": closedRules, "shared/vault/f": "f",
	})
	w.g.Changed(at("shared"))
	return w
}

func TestATraceTellsWhatOneMayKnow(t *testing.T) {
	w := explained(t)
	trace := func(by, about perm.User, rel string) string {
		tr, err := w.views[by].Trace(t.Context(), about, at(rel), perm.Read)
		if err != nil {
			return errno(err)
		}
		out := []string{tr.Decision.Steps[0].Text}
		for _, f := range tr.Files {
			out = append(out, strings.TrimPrefix(f.From.File, "/owner@x.org/")+" "+f.Role.String())
		}
		for _, r := range tr.Rules {
			names := 0
			for _, list := range r.Grants {
				names += len(list)
			}
			out = append(out, r.Pattern+": "+strings.Repeat("*", names))
		}
		return strings.Join(out, "\n")
	}
	const whole = "Explicitly granted read in /owner@x.org/shared/own/syft.pub.yaml\nsyft.pub.yaml replaced by a deeper file\nshared/own/syft.pub.yaml decides\n" +
		"syft.pub.yaml: *\nf: ***\ng: *"
	for _, c := range []struct {
		by, about perm.User
		path      string
		want      string
	}{
		{owner, reader, "shared/own/f", whole},
		{admin, reader, "shared/own/f", whole},
		{reader, reader, "shared/own/f", "Explicitly granted read in /owner@x.org/shared/own/syft.pub.yaml\nshared/own/syft.pub.yaml decides\nf: "},
		{reader, admin, "shared/own/f", "EACCES"},
		{reader, reader, "shared/own/g", noPermission},
		{reader, reader, "shared/own/none", noPermission},
		{nobody, nobody, "shared/f", noPermission},
		{nobody, nobody, "shared/none", noPermission},
		{nobody, nobody, "deep/a", "No matching rules found\nsyft.pub.yaml decides"},
	} {
		if got := trace(c.by, c.about, c.path); got != c.want {
			t.Errorf("%s about %s on %s:\n%s\nwant\n%s", c.by, c.about, c.path, got, c.want)
		}
	}
	// What is hidden is answered as what is not there.
	for _, u := range []perm.User{reader, creator, nobody} {
		if a, b := trace(u, u, "shared/vault"), trace(u, u, "shared/vanish"); a != b {
			t.Errorf("%s can tell a hidden folder from none:\n%s\n%s", u, a, b)
		}
		there := mkdir("shared/vault")(t.Context(), w.views[u])
		none := mkdir("secret/none")(t.Context(), w.views[nobody])
		if errno(there) != errno(none) {
			t.Errorf("%s: mkdir where something hidden is: %v", u, there)
		}
	}
	there, none := mkdir("shared/vault")(t.Context(), w.views[reader]), mkdir("shared/vanish")(t.Context(), w.views[reader])
	if strings.ReplaceAll(there.Error(), "vault", "vanish") != none.Error() {
		t.Errorf("a reader can tell a hidden folder from none:\n%v\n%v", there, none)
	}
	d, err := w.views[owner].Trace(t.Context(), reader, datasite.Path{Owner: peer, Rel: "public/data"}, perm.Read)
	if err != nil || len(d.Files) > 0 || d.Decision.Allowed {
		t.Errorf("a replica: %+v, %v", d, err)
	}
}

func TestHoldersAreForTheOwnerAndAdmins(t *testing.T) {
	w := explained(t)
	for _, u := range []perm.User{owner, admin} {
		list, err := w.views[u].Holders(t.Context(), at("shared/own/f"))
		must(t, err)
		var got []string
		for _, h := range list {
			got = append(got, h.Entry+" "+h.Level.String())
		}
		if s := strings.Join(got, ", "); s != "admin@x.org admin, reader@x.org read, secret@x.org read" {
			t.Errorf("%s is told %q", u, s)
		}
	}
	for _, u := range []perm.User{writer, reader, nobody} {
		for _, rel := range []string{"shared/own/f", "shared/own/g", "shared/none"} {
			if _, err := w.views[u].Holders(t.Context(), at(rel)); errno(err) != "EACCES" {
				t.Errorf("%s on %s: %v", u, rel, err)
			}
		}
	}
}

func TestVisible(t *testing.T) {
	w := explained(t)
	for rel, want := range map[string]map[perm.User]bool{
		"shared/f":     {owner: true, admin: true, reader: true, nobody: false},
		"shared/own/g": {owner: true, admin: false, reader: false, nobody: false},
		"shared/vault": {owner: true, admin: false, reader: false, nobody: false},
		"deep/a":       {owner: true, admin: true, reader: true, nobody: true},
		"none":         {owner: false, reader: false, nobody: false},
	} {
		for u, want := range want {
			if ok, err := w.views[u].Visible(t.Context(), at(rel)); ok != want || err != nil {
				t.Errorf("%s for %s: %v, %v", rel, u, ok, err)
			}
		}
	}
}

func TestAttributesTellAboutRights(t *testing.T) {
	w := explained(t)
	get := func(u perm.User, p datasite.Path, name string) string {
		b, err := w.views[u].Xattr(t.Context(), p, name)
		if err != nil {
			return errno(err)
		}
		return string(b)
	}
	for _, c := range []struct {
		u    perm.User
		rel  string
		want string
	}{
		{owner, "shared/f", "admin"}, {owner, "secret/f", "admin"}, {owner, "", "admin"},
		{admin, "shared/f", "admin"}, {writer, "shared/f", "write"}, {creator, "shared/f", "create"}, {reader, "shared/f", "read"}, {nobody, "shared/f", "ENOENT"},
		{writer, "shared/d", "write"}, {writer, "shared/sub/syft.pub.yaml", "read"},
		{nobody, "deep/a", "EACCES"}, {nobody, "deep/a/b/open.txt", "read"}, {reader, "secret/f", "ENOENT"},
	} {
		if got := get(c.u, at(c.rel), AttrAccess); got != c.want {
			t.Errorf("access of %s to %s: %q, want %q", c.u, c.rel, got, c.want)
		}
	}
	replica := datasite.Path{Owner: peer, Rel: "public/data"}
	if got := get(owner, replica, AttrAccess); got != "read" {
		t.Errorf("access to a replica: %q", got)
	}
	for _, c := range []struct {
		u    perm.User
		p    datasite.Path
		want []string
		not  string
	}{
		{owner, at("shared/own/f"), []string{"owner@x.org may admin /owner@x.org/shared/own/f.", "Owner of path",
			"secret@x.org: read, by pattern 'f' [/owner@x.org/shared/own/syft.pub.yaml:3]"}, ""},
		{owner, at("secret/f"), []string{"Nobody else may do anything here."}, ""},
		{reader, at("shared/own/f"), []string{"reader@x.org may read /owner@x.org/shared/own/f.", "Explicitly granted read in /owner@x.org/shared/own/syft.pub.yaml"}, "secret@x.org"},
		{owner, replica, []string{"Delivered by peer@y.org"}, ""},
		{nobody, at("shared/f"), []string{"ENOENT"}, ""},
	} {
		got := get(c.u, c.p, AttrWhy)
		for _, s := range c.want {
			if !strings.Contains(got, s) {
				t.Errorf("%s on %s: %q is not in:\n%s", c.u, c.p, s, got)
			}
		}
		if c.not != "" && strings.Contains(got, c.not) {
			t.Errorf("%s on %s: %q is in:\n%s", c.u, c.p, c.not, got)
		}
	}
	for _, u := range []perm.User{owner, admin, writer, reader, nobody} {
		for _, name := range []string{AttrAccess, AttrWhy, ownAttrs + "x"} {
			if err := setxattr("shared/f", name)(t.Context(), w.views[u]); errno(err) != "EPERM" {
				t.Errorf("%s sets %s: %v", u, name, err)
			}
			if err := w.views[u].RemoveXattr(t.Context(), at("shared/f"), name); errno(err) != "EPERM" {
				t.Errorf("%s removes %s: %v", u, name, err)
			}
		}
	}
	// Neither shown nor listed, wherever they come from.
	must(t, w.tree.SetXattr(at("shared/f"), "user.syft.access", []byte("admin"), 0))
	must(t, w.tree.SetXattr(at("shared/f"), "user.syft.x", []byte("x"), 0))
	must(t, w.tree.SetXattr(at("shared/f"), "user.mine", []byte("x"), 0))
	if names, err := w.views[reader].Xattrs(t.Context(), at("shared/f")); err != nil || strings.Join(names, " ") != "user.mine" {
		t.Errorf("listed %q, %v", names, err)
	}
	if got := get(reader, at("shared/f"), AttrAccess); got != "read" {
		t.Errorf("a stored value is believed: %q", got)
	}
	if got := get(reader, at("shared/f"), "user.syft.x"); got != "ENODATA" {
		t.Errorf("a stored attribute of ours: %q", got)
	}
}

func TestALongListOfHoldersFitsAnAttribute(t *testing.T) {
	w := newWorld(t)
	var b strings.Builder
	b.WriteString("rules:\n- pattern: '**'\n  access:\n    read:\n")
	for i := range 3000 {
		b.WriteString("    - u" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676)) + "@some-long-domain.example\n")
	}
	w.rules("secret/syft.pub.yaml", b.String())
	v, err := w.views[owner].Xattr(t.Context(), at("secret/f"), AttrWhy)
	must(t, err)
	if s := string(v); len(s) > maxAttr || !strings.HasSuffix(s, " more\n") {
		t.Errorf("%d bytes, ends with %q", len(s), s[len(s)-40:])
	}
}
