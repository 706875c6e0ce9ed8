package grant

import (
	"errors"
	iofs "io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

func TestRevokeTo(t *testing.T) {
	const team = `rules:
- pattern: "**"
  access:
    read: [alice@x.org, "*@y.org"] # readers
    write: [bob@x.org]
    admin: [carol@x.org]
`
	const older = `- {path: "**", permissions: [read, create, write], user: bob@x.org}
- {path: "**", permissions: admin, user: carol@x.org}
- {path: "d/**", permissions: [read, write], user: alice@x.org}
- {path: "all/**", permissions: [read, write], user: "*"}
`
	for name, c := range map[string]struct {
		file, path string
		user       perm.User
		keep, want perm.Level
		err        error
	}{
		"write to read":             {team, "d", bob, perm.Read, perm.Read, nil},
		"write to create":           {team, "d", bob, perm.Create, perm.Create, nil},
		"write to nothing":          {team, "d/f", bob, perm.None, perm.None, nil},
		"admin to write":            {team, "d", carol, perm.Write, perm.Write, nil},
		"less already":              {team, "d", alice, perm.Write, perm.Read, nil},
		"not at all":                {team, "d", "erin@x.org", perm.None, perm.None, nil},
		"a glob":                    {team, "d", "*@y.org", perm.None, perm.None, nil},
		"one by a glob":             {team, "d", dave, perm.None, perm.Read, ErrNoEffect},
		"old: write to read":        {older, "d", bob, perm.Read, perm.Read, nil},
		"old: write to create":      {older, "d", bob, perm.Create, perm.Create, nil},
		"old: admin to create":      {older, "d", carol, perm.Create, perm.Create, nil},
		"old: admin to write":       {older, "d", carol, perm.Write, perm.Write, nil},
		"old: not included":         {older, "d", alice, perm.Create, perm.Read, nil},
		"old: one of everyone":      {older, "all", dave, perm.Read, perm.Read, nil},
		"old: nothing of a glob":    {older, "d", "*@x.org", perm.None, perm.None, ErrByHand},
		"the owner":                 {team, "d", owner, perm.None, perm.Admin, iofs.ErrInvalid},
		"to admin is no revocation": {team, "d", bob, perm.Admin, perm.Write, iofs.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			file := "syft.pub.yaml"
			if strings.HasPrefix(c.file, "-") {
				file = "syftperm.yaml"
			}
			w := newWorld(t, map[string]string{file: c.file, "d/f": "", "all/f": "", "x/f": ""})
			users := []perm.User{alice, bob, carol, dave, perm.Anonymous, stranger}
			was := w.state(users...)
			got, err := w.RevokeTo(ctx, at(c.path), c.user, c.keep)
			if !errors.Is(err, c.err) {
				t.Fatalf("%v, want %v", err, c.err)
			}
			who, _ := parseEntry(c.user)
			f := strings.TrimSuffix(c.path, "/f") + "/f"
			if l := w.level(who.user, f); l != c.want && err == nil {
				t.Errorf("%s, want %s in\n%s", l, c.want, w.read(file))
			}
			is := w.state(users...)
			for p, before := range was.rights {
				for u, r := range before {
					if under := strings.HasPrefix(p, c.path); (!under || !who.covers(entry{string(u), u})) && is.rights[p][u] != r {
						t.Errorf("%s on %s: %v, was %v", u, p, is.rights[p][u], r)
					}
				}
			}
			if err == nil && got.Changed != (was.texts[file] != is.texts[file]) {
				t.Errorf("%+v", got)
			}
			if !strings.Contains(is.texts[file], "# readers") && file == "syft.pub.yaml" {
				t.Errorf("the comment is gone from\n%s", is.texts[file])
			}
		})
	}
}

func TestGrantToMany(t *testing.T) {
	files := map[string]string{"d/f": "", "e/f": "", "e/syft.pub.yaml": "rules:\n- {pattern: '**', access: {read: [alice@x.org], write: [dave@y.org]}}\n",
		"old/f": "", "old/syftperm.yaml": "[]\n"}
	for name, c := range map[string]struct {
		path string
		user perm.User
		l    perm.Level
		want map[perm.User]perm.Level
		err  error
	}{
		"a glob":             {"d", "*@x.org", perm.Read, map[perm.User]perm.Level{alice: perm.Read, dave: perm.None, perm.Anonymous: perm.None}, nil},
		"a glob for writing": {"e", "*@x.org", perm.Write, map[perm.User]perm.Level{alice: perm.Write, bob: perm.Write, dave: perm.Write, stranger: perm.None}, nil},
		"a glob of all":      {"e", "*@*", perm.Create, map[perm.User]perm.Level{alice: perm.Create, dave: perm.Write, perm.Anonymous: perm.None}, nil},
		"capitals":           {"d", "*@X.org", perm.Read, map[perm.User]perm.Level{alice: perm.Read}, nil},
		"admins of a domain": {"d", "*@x.org", perm.Admin, map[perm.User]perm.Level{alice: perm.Admin, dave: perm.None}, nil},
		"whoever signs in":   {"d", SignedIn, perm.Read, map[perm.User]perm.Level{stranger: perm.Read, perm.Anonymous: perm.None}, nil},
		"everyone may write": {"e", Everyone, perm.Write, map[perm.User]perm.Level{alice: perm.Write, perm.Anonymous: perm.Write}, nil},
		"old: everyone":      {"old", Everyone, perm.Create, map[perm.User]perm.Level{alice: perm.Create, perm.Anonymous: perm.Create}, nil},
		"old: a glob":        {"old", "*@x.org", perm.Read, nil, ErrByHand},
		"old: signed in":     {"old", SignedIn, perm.Read, nil, ErrByHand},
		"everyone as admin":  {"d", Everyone, perm.Admin, nil, iofs.ErrInvalid},
		"all admins":         {"d", SignedIn, perm.Admin, nil, iofs.ErrInvalid},
		"no address":         {"d", "? ?", perm.Read, nil, iofs.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, files)
			_, err := w.Grant(ctx, at(c.path), c.user, c.l)
			if !errors.Is(err, c.err) {
				t.Fatalf("%v, want %v", err, c.err)
			}
			w.levels(c.path+"/f", c.want)
			if err != nil {
				return
			}
			again, err := w.Grant(ctx, at(c.path), c.user, c.l)
			if err != nil || again.Changed {
				t.Errorf("again: %+v, %v", again, err)
			}
			_, err = w.Revoke(ctx, at(c.path), c.user)
			must(t, err)
			if who, _ := parseEntry(c.user); w.level(who.user, c.path+"/f") != perm.None {
				t.Error("still there")
			}
		})
	}
}

func TestLockout(t *testing.T) {
	w := newWorld(t, map[string]string{
		"team/syft.pub.yaml": "rules:\n- {pattern: '**', access: {admin: [alice@x.org], read: [bob@x.org]}}\n", "team/f": "",
	})
	view := w.g.View(datasite.Identity{Subject: alice}, nil)
	a := w.As(view)
	_, err := a.Revoke(ctx, at("team"), alice)
	if !errors.Is(err, ErrLockout) || !strings.Contains(err.Error(), "--allow-lockout") {
		t.Errorf("%v", err)
	}
	if _, err := a.Set(ctx, at("team"), "**", map[perm.Level][]perm.User{perm.Read: {bob}}, SetOptions{}); !errors.Is(err, ErrLockout) {
		t.Errorf("%v", err)
	}
	got, err := a.With(Options{AllowLockout: true}).Revoke(ctx, at("team"), alice)
	must(t, err)
	want := Effects{Losses: []Effect{{Path: at("team"), IsDir: true, Reach: ReachWhole, Entry: string(alice), Before: perm.Admin}}, Paths: 3}
	if d := cmp.Diff(want, got.Effects); d != "" {
		t.Error(d)
	}
	w.levels("team/f", map[perm.User]perm.Level{alice: perm.None, bob: perm.Read})
	if _, err := a.Grant(ctx, at("team"), alice, perm.Read); !errors.Is(err, iofs.ErrNotExist) && !errors.Is(err, iofs.ErrPermission) {
		t.Errorf("locked out, and yet: %v", err)
	}
}
