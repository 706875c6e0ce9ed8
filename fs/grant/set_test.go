package grant

import (
	"errors"
	iofs "io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/openmined/syftfs/perm"
)

func TestSet(t *testing.T) {
	yes, no := true, false
	const pub = `# mine
rules:
- pattern: "d/*" # the first
  access: {read: [alice@x.org], write: [bob@x.org]}
  limits: {maxFileSize: 5}
- pattern: "**"
  access: {read: [carol@x.org]}
`
	const older = "# old\n- {path: 'd/*', permissions: read, user: alice@x.org}\n- {path: 'd/*', permissions: read, user: bob@x.org, type: disallow}\n- {path: '**', permissions: read, user: bob@x.org}\n"
	lists := func(l perm.Level, users ...perm.User) map[perm.Level][]perm.User {
		return map[perm.Level][]perm.User{l: users}
	}
	for name, c := range map[string]struct {
		text, dir, pattern string
		grants             map[perm.Level][]perm.User
		o                  SetOptions
		want               map[perm.User]perm.Level // on d/f
		gains, losses      int
		err                error
	}{
		"other lists":          {pub, "d", "*", lists(perm.Create, carol, "*@y.org"), SetOptions{}, map[perm.User]perm.Level{alice: perm.None, bob: perm.None, carol: perm.Create, dave: perm.Create}, 2, 2, nil},
		"nobody":               {pub, "d", "*", nil, SetOptions{}, map[perm.User]perm.Level{alice: perm.None, bob: perm.None, carol: perm.None}, 0, 2, nil},
		"as it is":             {pub, "d", "*", map[perm.Level][]perm.User{perm.Read: {alice}, perm.Write: {bob}}, SetOptions{}, map[perm.User]perm.Level{alice: perm.Read, bob: perm.Write}, 0, 0, nil},
		"limits":               {pub, "d", "*", lists(perm.Write, bob), SetOptions{Limits: &perm.Limits{}}, map[perm.User]perm.Level{alice: perm.None, bob: perm.Write}, 1, 1, nil},
		"drop":                 {pub, "", "d/*", nil, SetOptions{Drop: true}, map[perm.User]perm.Level{alice: perm.None, bob: perm.None, carol: perm.Read}, 1, 2, nil},
		"drop what is not":     {pub, "", "e/*", nil, SetOptions{Drop: true}, map[perm.User]perm.Level{alice: perm.Read}, 0, 0, nil},
		"terminal":             {pub, "", "", nil, SetOptions{Terminal: &yes}, map[perm.User]perm.Level{alice: perm.Read, dave: perm.None}, 1, 1, nil},
		"not terminal":         {pub, "", "", nil, SetOptions{Terminal: &no}, map[perm.User]perm.Level{alice: perm.Read}, 0, 0, nil},
		"terminal and a rule":  {pub, "", "d/*", lists(perm.Read, dave), SetOptions{Terminal: &yes}, map[perm.User]perm.Level{alice: perm.None, dave: perm.Read}, 2, 3, nil},
		"old":                  {older, "d", "*", map[perm.Level][]perm.User{perm.Read: {carol}, perm.Write: {alice}}, SetOptions{}, map[perm.User]perm.Level{alice: perm.Write, bob: perm.Read, carol: perm.Read}, 2, 0, nil},
		"old: drop":            {older, "d", "*", nil, SetOptions{Drop: true}, map[perm.User]perm.Level{alice: perm.None, bob: perm.Read}, 0, 1, nil},
		"old: limits":          {older, "d", "*", nil, SetOptions{Limits: &perm.Limits{}}, nil, 0, 0, ErrByHand},
		"old: terminal":        {older, "", "", nil, SetOptions{Terminal: &yes}, nil, 0, 0, ErrByHand},
		"old: a glob":          {older, "d", "*", lists(perm.Read, "*@x.org"), SetOptions{}, nil, 0, 0, ErrByHand},
		"another's terminal":   {pub, "d", "", nil, SetOptions{Terminal: &yes}, nil, 0, 0, iofs.ErrInvalid},
		"nothing":              {pub, "d", "", nil, SetOptions{}, nil, 0, 0, iofs.ErrInvalid},
		"no pattern":           {pub, "d", "", lists(perm.Read, bob), SetOptions{}, nil, 0, 0, iofs.ErrInvalid},
		"drop and grant":       {pub, "d", "*", lists(perm.Read, bob), SetOptions{Drop: true}, nil, 0, 0, iofs.ErrInvalid},
		"no level":             {pub, "d", "*", lists(perm.None, bob), SetOptions{}, nil, 0, 0, iofs.ErrInvalid},
		"no glob":              {pub, "d", "[", lists(perm.Read, bob), SetOptions{}, nil, 0, 0, iofs.ErrInvalid},
		"out of the folder":    {pub, "d", "../x", lists(perm.Read, bob), SetOptions{}, nil, 0, 0, iofs.ErrInvalid},
		"no address":           {pub, "d", "*", lists(perm.Read, "bob"), SetOptions{}, nil, 0, 0, perm.ErrAddress},
		"a folder that is new": {pub, "new", "*", lists(perm.Read, bob), SetOptions{}, map[perm.User]perm.Level{alice: perm.Read}, 0, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			file := "syft.pub.yaml"
			if strings.Contains(c.text, "- {path") {
				file = "syftperm.yaml"
			}
			w := newWorld(t, map[string]string{file: c.text, "d/f": "", "sub/syft.pub.yaml": "rules:\n- {pattern: '**', access: {read: [dave@y.org]}}\n"})
			got, err := w.Set(ctx, at(c.dir), c.pattern, c.grants, c.o)
			if !errors.Is(err, c.err) {
				t.Fatalf("%v, want %v", err, c.err)
			}
			if err != nil {
				if w.read(file) != c.text {
					t.Errorf("after %v\n%s", err, w.read(file))
				}
				return
			}
			w.levels("d/f", c.want)
			if len(got.Effects.Gains) != c.gains || len(got.Effects.Losses) != c.losses {
				t.Errorf("%v\n%s", got.Effects, w.read(file))
			}
			if got.Changed != (w.read(file) != c.text) || got.File != at(file) {
				t.Errorf("%+v", got)
			}
			first, _, _ := strings.Cut(c.text, "\n")
			if !strings.HasPrefix(w.read(file), first) {
				t.Errorf("the comment is gone from\n%s", w.read(file))
			}
		})
	}
}

func TestSetMakesTheFile(t *testing.T) {
	w := newWorld(t, map[string]string{"d/f": "", "d/sub/g": ""})
	yes := true
	got, err := w.Set(ctx, at("d"), "*", map[perm.Level][]perm.User{perm.Admin: {bob}}, SetOptions{Terminal: &yes, Limits: &perm.Limits{NoDirs: true}})
	must(t, err)
	want := Edit{File: at("d/syft.pub.yaml"), Pattern: "*", Made: true, Changed: true, Effects: Effects{Gains: []Effect{
		{Path: at("d/f"), Entry: string(bob), After: perm.Admin}, {Path: at("d/sub"), IsDir: true, Entry: string(bob), After: perm.Admin}}}}
	if d := cmp.Diff(want, got, cmpopts.IgnoreFields(Effects{}, "Paths")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff("terminal: true\nrules:\n  - pattern: '*'\n    access:\n      admin: [bob@x.org]\n    limits:\n      allowDirs: false\n", w.read("d/syft.pub.yaml")); d != "" {
		t.Log(d) // the layout is not promised
	}
	for _, word := range []string{"terminal: true", "allowDirs: false"} {
		if !strings.Contains(w.read("d/syft.pub.yaml"), word) {
			t.Errorf("no %s in\n%s", word, w.read("d/syft.pub.yaml"))
		}
	}
}
