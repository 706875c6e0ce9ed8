package service

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/account"
)

// unverify takes the voucher from an account, as an editor would.
func (w *world) unverify(u perm.User) {
	w.t.Helper()
	path := filepath.Join(w.dir, "state", "accounts.json")
	b, err := os.ReadFile(path)
	must(w.t, err)
	var file map[string]any
	must(w.t, json.Unmarshal(b, &file))
	for _, a := range file["accounts"].([]any) {
		if a := a.(map[string]any); a["email"] == string(u) {
			a["verified"] = map[string]any{"by": "none"}
		}
	}
	b, err = json.Marshal(file)
	must(w.t, err)
	must(w.t, os.WriteFile(path, b, 0o600))
	state, err := statedir.Open(filepath.Join(w.dir, "state"), nil)
	must(w.t, err)
	w.Accounts, err = account.Open(state, owen)
	must(w.t, err)
}

func TestWhyWhom(t *testing.T) {
	w := newWorld(t)
	w.put(map[string]string{
		"backing/owen@lab.example/open/f":               "x",
		"backing/owen@lab.example/open/syft.pub.yaml":   "rules:\n- pattern: '**'\n  access: {read: ['*']}\n",
		"backing/owen@lab.example/uni/f":                "x",
		"backing/owen@lab.example/uni/syft.pub.yaml":    "rules:\n- pattern: '**'\n  access: {read: ['rachel@uni.example', 'nina@uni.example', 'off@uni.example', 'peer@far.example', 'new@uni.example']}\n",
		"backing/owen@lab.example/closed/f":             "x",
		"backing/owen@lab.example/closed/syftperm.yaml": "- path: '**'\n  permissions: []\n  user: '*'\n",
	})
	w.user(rachel, "")
	w.user(nina, account.Guest)
	w.user("new@uni.example", "")
	w.user("ann@lab.example", account.Admin)
	w.user("off@uni.example", "")
	_, err := w.Accounts.Disable(ctx, owen, "off@uni.example")
	must(t, err)
	w.unverify("new@uni.example")
	for _, c := range []struct {
		name, who         string
		open, uni, closed bool
		note              string
	}{
		{"a scientist", string(rachel), true, true, false, ""},
		{"in another spelling", " RACHEL@Uni.Example", true, true, false, ""},
		{"not signed in", "guest", true, false, false, "not signed in"},
		{"everybody", "*", true, false, false, "not signed in"},
		{"a guest account", string(nina), true, false, false, "is a guest"},
		{"not verified", "new@uni.example", true, false, false, "syftfs users verify new@uni.example"},
		{"disabled", "off@uni.example", false, false, false, "syftfs users enable off@uni.example"},
		{"an administrator", "ann@lab.example", true, true, true, "administrator"},
		{"the owner", string(owen), true, true, true, ""},
		{"a peer", "peer@far.example", true, true, false, "no local account"},
		{"a stranger", "x@far.example", true, false, false, "no local account"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for dir, want := range map[string]bool{"open": c.open, "uni": c.uni, "closed": c.closed} {
				a, err := w.Why(ctx, root, WhyQuestion{User: c.who, Level: "read", Path: string(owen) + "/" + dir + "/f"})
				must(t, err)
				if a.Allowed != want || a.User != c.who || a.Level != "read" || a.Path != string(owen)+"/"+dir+"/f" || a.Text == "" || len(a.Reasons) == 0 {
					t.Errorf("%s: %+v", dir, a)
				}
				if c.note == "" && a.Account != "" || !strings.Contains(a.Account, c.note) {
					t.Errorf("%s: about the account: %q", dir, a.Account)
				}
				if verb := " may "; !want {
					verb = " may not "
					if !strings.Contains(a.Text, verb) {
						t.Errorf("%s: %q", dir, a.Text)
					}
				}
			}
		})
	}
	a, err := w.Why(ctx, root, WhyQuestion{User: string(rachel), Level: "read", Path: string(owen) + "/uni/f"})
	must(t, err)
	if a.Held != "read" || a.Pattern != "**" || a.File != "/owen@lab.example/uni/syft.pub.yaml" && a.File != "owen@lab.example/uni/syft.pub.yaml" || a.Line != 2 {
		t.Errorf("%+v", a)
	}
	off, err := w.Why(ctx, root, WhyQuestion{User: "off@uni.example", Level: "write", Path: string(owen) + "/uni/f"})
	must(t, err)
	if off.Allowed || off.Held != "none" || !strings.Contains(off.Text, "disabled") {
		t.Errorf("%+v", off)
	}
	for _, c := range []struct {
		name  string
		q     WhyQuestion
		code  Code
		field string
	}{
		{"level", WhyQuestion{User: string(rachel), Level: "look", Path: string(owen)}, BadInput, "level"},
		{"no level", WhyQuestion{User: string(rachel), Path: string(owen)}, BadInput, "level"},
		{"user", WhyQuestion{User: "rachel", Level: "read", Path: string(owen)}, BadEmail, "user"},
		{"pattern of users", WhyQuestion{User: "*@uni.example", Level: "read", Path: string(owen)}, BadEmail, "user"},
		{"path", WhyQuestion{User: string(rachel), Level: "read", Path: "public/x"}, BadInput, "path"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.Why(ctx, root, c.q)
			wantCode(t, err, c.code, c.field)
		})
	}
}

func TestWhyWhere(t *testing.T) {
	w := newWorld(t)
	mount, backing := w.host.state.Mount, w.host.state.Backing
	w.views.open = []View{{Dir: "/srv/as-rachel"}}
	f := datasite.Path{Owner: owen, Rel: "a/f"}
	for _, c := range []struct {
		name, typed string
		want        datasite.Path
	}{
		{"in the tree", "owen@lab.example/a/f", f},
		{"as answers write it", "/owen@lab.example/a/f", f},
		{"a datasite", "Owen@Lab.example/", datasite.Path{Owner: owen}},
		{"another datasite", "rachel@uni.example/a/f", datasite.Path{Owner: rachel, Rel: "a/f"}},
		{"untidy", "./owen@lab.example//b/../a/./f", f},
		{"under the other name", "datasites/owen@lab.example/a/f", f},
		{"below the mount", mount + "/owen@lab.example/a/f", f},
		{"below the mount, untidy", mount + "/x/..//owen@lab.example/a/f/", f},
		{"below the mount, under the other name", mount + "/datasites/owen@lab.example/a/f", f},
		{"a folder called so", mount + "/owen@lab.example/datasites/f", datasite.Path{Owner: owen, Rel: "datasites/f"}},
		{"below the backing folder", backing + "/owen@lab.example/a/f", f},
		{"below a view", "/srv/as-rachel/owen@lab.example/a/f", f},
		{"the mount", mount, datasite.Path{}},
		{"the other name", mount + "/datasites", datasite.Path{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := w.path(c.typed)
			must(t, err)
			if got != c.want {
				t.Errorf("%q is %q, want %q", c.typed, got, c.want)
			}
		})
	}
	for _, c := range []struct{ name, typed, text string }{
		{"outside", "/etc/passwd", mount},
		{"a sibling of the mount", mount + "2/owen@lab.example/f", "is not below the mount"},
		{"out of the mount", mount + "/../files/f", "is not below the mount"},
		{"no datasite", "public/readme.txt", string(owen) + "/..."},
		{"no datasite below the mount", mount + "/public/f", string(owen) + "/..."},
		{"climbs", "owen@lab.example/../x@y.org/f", "climbs"},
		{"NUL", "owen@lab.example/a\x00", "cannot be used"},
		{"not UTF-8", "owen@lab.example/\xff", "cannot be used"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.path(c.typed)
			wantCode(t, err, BadInput, "path", c.text)
		})
	}
	// The root of the mount is nobody's: a question about it is answered, or refused, but never by a panic.
	if _, err := w.Why(ctx, root, WhyQuestion{User: string(rachel), Level: "read", Path: mount}); err != nil && Wrap(err).Code == Unexpected {
		t.Error(err)
	}
}
