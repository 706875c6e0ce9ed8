package grant

import (
	"context"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
)

func TestDiff(t *testing.T) {
	files := map[string]string{
		"syft.pub.yaml":         "rules:\n- {pattern: '**', access: {read: [alice@x.org]}}\n",
		"d/a":                   "",
		"d/sub/b":               "",
		"d/own/syft.pub.yaml":   "rules:\n- {pattern: '**', access: {write: [bob@x.org]}}\n",
		"d/own/f":               "",
		"old/syftperm.yaml":     "- {path: '**', permissions: [read, write], user: bob@x.org}\n",
		"old/f":                 "",
		"old/.hidden":           "",
		"end/syft.pub.yaml":     "terminal: true\nrules: []\n",
		"end/x/f":               "",
		"lim/syft.pub.yaml":     "rules:\n- {pattern: '**', access: {write: [bob@x.org]}, limits: {maxFileSize: 10}}\n",
		"lim/f":                 "",
		"bob@x.org/f":           "",
		"mixed/syft.pub.yaml":   "rules:\n- {pattern: '**', access: {read: [bob@x.org]}}\n",
		"mixed/syftperm.yaml":   "[]\n",
		"mixed/f":               "",
		"broken/syft.pub.yaml":  "rules: {",
		"broken/f":              "",
		"empty/":                "",
		"loose/f":               "",
		"loose/link-free/g/h/i": "",
	}
	e := func(rel string, reach Reach, entry string, before, after perm.Level) Effect {
		return Effect{Path: at(strings.TrimSuffix(rel, "/")), IsDir: strings.HasSuffix(rel, "/"), Reach: reach, Entry: entry, Before: before, After: after}
	}
	for name, c := range map[string]struct {
		file string
		text string // "-" is removal
		want Effects
		err  error
	}{
		"a new file": {"d/syft.pub.yaml", "rules:\n- {pattern: '**', access: {read: ['*@x.org']}}\n", Effects{Gains: []Effect{
			e("d/", ReachSelf, "*@x.org", perm.None, perm.Read), e("d/", ReachSelf, "bob@x.org", perm.None, perm.Read),
			e("d/a", ReachSelf, "*@x.org", perm.None, perm.Read), e("d/a", ReachSelf, "bob@x.org", perm.None, perm.Read),
			e("d/sub/", ReachWhole, "*@x.org", perm.None, perm.Read), e("d/sub/", ReachWhole, "bob@x.org", perm.None, perm.Read)}}, nil},
		"all of a folder": {"loose/syft.pub.yaml", "rules:\n- {pattern: '**', access: {read: [bob@x.org]}}\n", Effects{
			Gains:  []Effect{e("loose/", ReachWhole, "bob@x.org", perm.None, perm.Read)},
			Losses: []Effect{e("loose/", ReachWhole, "alice@x.org", perm.Read, perm.None)}}, nil},
		"what is in a folder": {"loose/syft.pub.yaml", "rules:\n- {pattern: '*', access: {read: [alice@x.org]}}\n- {pattern: '**/*', access: {read: [alice@x.org, '*']}}\n", Effects{
			Gains: []Effect{e("loose/link-free/", ReachInside, "*", perm.None, perm.Read), e("loose/link-free/", ReachInside, "USER", perm.None, perm.Read)},
			// the folder itself is matched by ** alone
			Losses: []Effect{e("loose/", ReachSelf, "alice@x.org", perm.Read, perm.None)}}, nil},
		"removal": {"d/own/syft.pub.yaml", "-", Effects{
			Gains:  []Effect{e("d/own/", ReachWhole, "alice@x.org", perm.None, perm.Read)},
			Losses: []Effect{e("d/own/", ReachWhole, "bob@x.org", perm.Write, perm.None)}}, nil},
		"removal of what is not there": {"d/syft.pub.yaml", "-", Effects{}, nil},
		"does not parse": {"d/own/syft.pub.yaml", "rules: {", Effects{
			Losses: []Effect{e("d/own/", ReachWhole, "bob@x.org", perm.Write, perm.None)}}, iofs.ErrInvalid},
		"a broken file at the top": {"syft.pub.yaml", "rules: {", Effects{Losses: []Effect{
			e("/", ReachSelf, "alice@x.org", perm.Read, perm.None), e("bob@x.org/", ReachWhole, "alice@x.org", perm.Read, perm.None),
			e("d/", ReachSelf, "alice@x.org", perm.Read, perm.None), e("d/a", ReachSelf, "alice@x.org", perm.Read, perm.None),
			e("d/own/", ReachWhole, "bob@x.org", perm.Write, perm.None), e("d/sub/", ReachWhole, "alice@x.org", perm.Read, perm.None),
			e("empty/", ReachWhole, "alice@x.org", perm.Read, perm.None),
			e("lim/", ReachWhole, "bob@x.org", perm.Write, perm.None), e("loose/", ReachWhole, "alice@x.org", perm.Read, perm.None),
			e("mixed/", ReachWhole, "bob@x.org", perm.Read, perm.None),
			e("old/", ReachSelf, "alice@x.org", perm.Read, perm.None), e("old/f", ReachSelf, "bob@x.org", perm.Write, perm.None),
			e("old/syftperm.yaml", ReachSelf, "bob@x.org", perm.Read, perm.None),
			e("syft.pub.yaml", ReachSelf, "alice@x.org", perm.Read, perm.None),
		}}, iofs.ErrInvalid},
		"repaired": {"broken/syft.pub.yaml", "rules:\n- {pattern: '**', access: {read: [bob@x.org]}}\n", Effects{
			Gains: []Effect{e("broken/", ReachWhole, "bob@x.org", perm.None, perm.Read)}}, nil},
		"the old language": {"old/syftperm.yaml", "- {path: '*', permissions: [read, create, write], user: bob@x.org}\n- {path: '.hidden', permissions: read, user: '*'}\n", Effects{
			Gains: []Effect{e("old/.hidden", ReachSelf, "*", perm.None, perm.Read), e("old/.hidden", ReachSelf, "USER", perm.None, perm.Read),
				e("old/.hidden", ReachSelf, "alice@x.org", perm.None, perm.Read), e("old/.hidden", ReachSelf, "bob@x.org", perm.None, perm.Read),
				{Path: at("old/f"), Entry: "bob@x.org", Before: perm.Write, After: perm.Write, Note: "may create, too"}}}, nil},
		"beside the newer one":  {"mixed/syftperm.yaml", "- {path: '**', permissions: read, user: '*'}\n", Effects{}, nil},
		"the newer one goes":    {"mixed/syft.pub.yaml", "-", Effects{Gains: []Effect{e("mixed/", ReachSelf, "alice@x.org", perm.None, perm.Read)}, Losses: []Effect{e("mixed/", ReachWhole, "bob@x.org", perm.Read, perm.None)}}, nil},
		"below a terminal file": {"end/x/syft.pub.yaml", "rules:\n- {pattern: '**', access: {read: ['*']}}\n", Effects{}, nil},
		"limits": {"lim/syft.pub.yaml", "rules:\n- {pattern: '**', access: {write: [bob@x.org]}}\n", Effects{Gains: []Effect{
			{Path: at("lim"), IsDir: true, Reach: ReachWhole, Entry: "bob@x.org", Before: perm.Write, After: perm.Write, Note: "other limits"}}}, nil},
		"named by the folder": {"bob@x.org/syft.pub.yaml", "rules:\n- {pattern: '**', access: {read: [alice@x.org]}}\n- {pattern: '{{.UserEmail}}', access: {write: [USER]}}\n", Effects{}, nil},
		"no such folder":      {"nothing/syft.pub.yaml", "rules:\n- {pattern: '**', access: {read: ['*']}}\n", Effects{}, nil},
		"not a rule file":     {"d/a", "", Effects{}, iofs.ErrInvalid},
		"in a file":           {"d/a/syft.pub.yaml", "", Effects{}, iofs.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, files)
			text := []byte(c.text)
			if c.text == "-" {
				text = nil
			}
			got, problems, err := w.Diff(ctx, at(c.file), text)
			if !errors.Is(err, c.err) {
				t.Errorf("%v, want %v", err, c.err)
			}
			if d := cmp.Diff(c.want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Effects{}, "Paths")); d != "" {
				t.Error(d)
			}
			var wrong *rulefile.Error
			if errors.As(err, &wrong) && (len(problems) == 0 || problems[0].Severity != rulefile.SeverityError) {
				t.Errorf("problems: %v", problems)
			}
			if strings.HasPrefix(c.file, "end/") && len(problems) == 0 {
				t.Error("nobody says that it has no say")
			}
			for name, body := range files {
				if !strings.HasSuffix(name, "/") && w.read(name) != body {
					t.Errorf("%s was changed", name)
				}
			}
		})
	}
}

func TestDiffOfTemplates(t *testing.T) {
	w := newWorld(t, map[string]string{"in/bob@x.org/f": "", "in/other/f": "", "in/syft.pub.yaml": "rules: []\n"})
	got, _, err := w.Diff(ctx, at("in/syft.pub.yaml"), []byte("rules:\n- {pattern: '{{.UserEmail}}/**', access: {write: [USER]}}\n"))
	must(t, err)
	want := Effects{Gains: []Effect{{Path: at("in/bob@x.org"), IsDir: true, Reach: ReachWhole, Entry: "bob@x.org", After: perm.Write}}, Paths: 6}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	got, _, err = w.Diff(ctx, at("in/syft.pub.yaml"), []byte("rules:\n- {pattern: '{{.UserHash}}/**', access: {write: [USER]}}\n"))
	must(t, err)
	if !got.Truncated {
		t.Error("whoever has that hash is not looked at, and that is not told")
	}
}

func TestDiffBounds(t *testing.T) {
	var text strings.Builder
	text.WriteString("rules:\n- pattern: '**'\n  access:\n    read:\n")
	for i := range 2 * maxEntries {
		text.WriteString("    - u" + strings.Repeat("a", i/26) + string(rune('a'+i%26)) + "@x.org\n")
	}
	w := newWorld(t, map[string]string{"d/f": "", "d/g": ""})
	got, _, err := w.Diff(ctx, at("d/syft.pub.yaml"), []byte(text.String()))
	must(t, err)
	if !got.Truncated || len(got.Gains) == 0 || len(got.Gains) > maxEntries {
		t.Errorf("%d effects, truncated: %v", len(got.Gains), got.Truncated)
	}
}

func TestDiffOfALargeFolder(t *testing.T) {
	w := newWorld(t, map[string]string{"d/": ""})
	dir := filepath.Join(w.dir, string(owner), "d")
	for i := range maxPaths + 1 {
		must(t, os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), nil, 0o600))
	}
	got, _, err := w.Diff(ctx, at("d/syft.pub.yaml"), []byte("rules:\n- {pattern: '**', access: {read: [bob@x.org]}}\n"))
	must(t, err)
	if !got.Truncated || got.Paths != maxPaths || len(got.Gains) != maxEffects || got.Gains[0].Reach != ReachSelf {
		t.Errorf("%d paths, %d effects, truncated: %v, first %v", got.Paths, len(got.Gains), got.Truncated, got.Gains[0])
	}
}

func TestTrim(t *testing.T) {
	s := &survey{nodes: []node{{isDir: true, children: []int{1, 3}}, {isDir: true, children: []int{2}}, {}, {}}}
	s.trim(2)
	if len(s.nodes) != 2 || !s.cut || !s.nodes[0].cut || !s.nodes[1].cut || len(s.nodes[0].children) != 1 || len(s.nodes[1].children) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestDiffIsForTheOwnDatasite(t *testing.T) {
	w := newWorld(t, map[string]string{"d/f": ""})
	for _, p := range []datasite.Path{{}, {Owner: bob, Rel: "syft.pub.yaml"}} {
		if _, _, err := w.Diff(ctx, p, nil); !errors.Is(err, iofs.ErrPermission) {
			t.Errorf("%s: %v", p, err)
		}
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := w.Diff(gone, at("d/syft.pub.yaml"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
