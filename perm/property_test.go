package perm_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/perm"
	"pgregory.net/rapid"
)

const carol = perm.User("carol@x.org") // owns the tree of the property test

var (
	someUsers   = []perm.User{carol, "bob@x.org", "bob@x.org", "bob@x.org", "ann@x.org", "ann@x.org", "eve@y.edu", "bo.b+1@x.org", "carol@x.org.evil.org", "stranger@z.org", "bob]@x.org", "ann]", perm.Anonymous, ""}
	someEntries = []string{"*", "USER", "bob@x.org", "ann@x.org", "eve@y.edu", "*@x.org", "*@*.edu", "?nn@x.org", "[ab]*@x.org", "{bob,eve}@*",
		"Bob@x.org", "carol@x.org", "[", "bob]@x.org", "{bob,ann}]", "**", "user", "\x00anonymous", "\x00somebody"}
	permEntries  = []string{"*", "*", "*", "bob@x.org", "bob@x.org", "bob@x.org", "ann@x.org", "ann@x.org", "USER", "*@x.org", "Bob@x.org", "carol@x.org", "bob]@x.org"}
	someFolders  = []string{"a", "b", ".h", "d[1]", "q*", "bob@x.org", "2025"}
	someNames    = []string{"f.txt", "g.csv", ".env", "a", "b", "ab", "{a,b}.txt", `a\b`, "ann@x.org", "f1", "é", "syft.pub.yaml", "syft.pub.yaml", "syftperm.yaml", "SYFT.PUB.YAML"}
	somePatterns = []string{"**", "**", "**", "**/*", "*", "a/**", "/a", "a/", "a//b", "./a", "{a,b}.txt", "2025/**", "{{.UserEmail}}/**", "{{.UserHash}}/**", "**/syft.pub.yaml"}
	pubSegments  = []string{"a", "b", ".h", "d[[]1]", "**", "**", "*", "*.txt", "f*", "?", "f?", "[ab]", "[!a]*", "[a-c]b", "{a,b}", "{f,g}.*", "a{b,}", "{a,**}", "q*", `q\*`,
		"*.csv", "a**", "é", "bob@x.org", "{{.UserEmail}}", "{{ upper .UserEmail }}", "{{.UserHash}}", "{{sha2 .UserEmail 8}}*", "{{.Year}}", "{{.Year}}-{{.Month}}-{{.Date}}",
		".*", "*e*", "syft*", "syft.pub.yaml"}
	permSegments = []string{"a", "b", ".h", "**", "**", "*", "*.txt", "f*", "?", "f?", "a**", "{useremail}", ".*", "*e*", "q*", "é", ".env", "x{useremail}*", "syft*", "*a*b*"}
	someTimes    = []time.Time{
		time.Date(2025, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2025, 3, 7, 1, 0, 0, 0, time.FixedZone("", 3*60*60)),
	}
)

func drawPattern(t *rapid.T, kind perm.Kind) string {
	if rapid.IntRange(0, 2).Draw(t, "usual") == 0 {
		p := rapid.SampledFrom(somePatterns).Draw(t, "pattern")
		if perm.CheckPattern(kind, p) == nil {
			return p
		}
	}
	segments := pubSegments
	if kind == perm.KindPerm {
		segments = permSegments
	}
	for {
		p := strings.Join(rapid.SliceOfN(rapid.SampledFrom(segments), 1, 4).Draw(t, "segments"), "/")
		if perm.CheckPattern(kind, p) == nil {
			return p
		}
	}
}

func drawRule(t *rapid.T, kind perm.Kind, line int) perm.Rule {
	r := perm.Rule{Pattern: drawPattern(t, kind), Grants: map[perm.Level][]string{}, From: perm.Source{Line: line}}
	if kind == perm.KindPerm { // one user, some bits
		entry := rapid.SampledFrom(permEntries).Draw(t, "user")
		for _, level := range rapid.SliceOfNDistinct(rapid.SampledFrom(slowLevels), 1, 3, rapid.ID[perm.Level]).Draw(t, "bits") {
			r.Grants[level] = []string{entry}
		}
		r.Deny = rapid.IntRange(0, 2).Draw(t, "deny") == 0
		return r
	}
	for _, level := range slowLevels {
		if list := rapid.SliceOfN(rapid.SampledFrom(someEntries), 0, 3).Draw(t, level.String()); len(list) > 0 && rapid.Bool().Draw(t, "list") {
			r.Grants[level] = list
		}
	}
	if rapid.Bool().Draw(t, "limited") {
		r.Limits = perm.Limits{MaxFileSize: rapid.Int64Range(0, 3).Draw(t, "size"), NoDirs: rapid.Bool().Draw(t, "no dirs"), AllowSymlinks: rapid.Bool().Draw(t, "symlinks")}
	}
	return r
}

func drawFile(t *rapid.T, kind perm.Kind) perm.Ruleset {
	rs := perm.Ruleset{Kind: kind, Terminal: rapid.IntRange(0, 5).Draw(t, "terminal") == 0}
	if rapid.IntRange(0, 11).Draw(t, "broken") == 0 {
		rs.Broken = errors.New("odd text")
	}
	for i := range rapid.IntRange(0, 6).Draw(t, "rules") {
		rs.Rules = append(rs.Rules, drawRule(t, kind, i+1))
	}
	return rs
}

// drawFiles gives the rule files of a folder: often none, sometimes both.
func drawFiles(t *rapid.T) []perm.Ruleset {
	switch rapid.IntRange(0, 5).Draw(t, "files") {
	case 0, 1:
		return nil
	case 2:
		return []perm.Ruleset{drawFile(t, perm.KindPerm)}
	case 3:
		return []perm.Ruleset{drawFile(t, perm.KindPerm), drawFile(t, perm.KindPub)}
	}
	return []perm.Ruleset{drawFile(t, perm.KindPub)}
}

func drawDir(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(someFolders), 0, 3).Draw(t, "folder"), "/")
}

func drawRequest(t *rapid.T, dirs []string) perm.Request {
	r := perm.Request{Owner: carol, User: rapid.SampledFrom(someUsers).Draw(t, "asker"), IsDir: rapid.Bool().Draw(t, "is a folder"),
		Want: perm.Level(rapid.IntRange(0, 4).Draw(t, "want")), Now: rapid.SampledFrom(someTimes).Draw(t, "now")}
	path := []string{rapid.SampledFrom(dirs).Draw(t, "in"), drawDir(t)}
	if rapid.IntRange(0, 5).Draw(t, "named") > 0 {
		path = append(path, rapid.SampledFrom(someNames).Draw(t, "name"))
	}
	r.Path = strings.Join(slices.DeleteFunc(path, func(s string) bool { return s == "" }), "/")
	return r
}

func answer(d perm.Decision) slowAnswer {
	a := slowAnswer{Allowed: d.Allowed, Owner: d.Owner, Level: d.Level, Pattern: d.Pattern, By: d.By.String()}
	for _, s := range d.Steps {
		a.Steps = append(a.Steps, s.Text)
	}
	return a
}

// TestAgainstSlow compares decisions and reasons with those of the second implementation, over trees that change.
func TestAgainstSlow(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := &slowTree{owner: carol, files: map[string][]perm.Ruleset{}}
		x := perm.NewIndex(func(owner perm.User, dir string) ([]perm.Ruleset, error) { return w.files[dir], nil })
		dirs := append(rapid.SliceOfN(rapid.Custom(drawDir), 1, 4).Draw(t, "folders"), "")
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			for range rapid.IntRange(1, 3).Draw(t, "changes") {
				dir := rapid.SampledFrom(dirs).Draw(t, "changed")
				w.files[dir] = drawFiles(t)
				x.Forget(carol, dir)
			}
			for range rapid.IntRange(1, 8).Draw(t, "questions") {
				r := drawRequest(t, dirs)
				want := w.decide(r)
				for range 2 { // the second answer comes from the cache
					d, err := x.Decide(r)
					if diff := cmp.Diff(want, answer(d)); diff != "" || err != nil || d.Request != r {
						t.Fatalf("%+v: %v\n%s", r, err, diff)
					}
					checkLimit(t, w, d)
					checkRemedy(t, w, d)
				}
				checkTrace(t, x, w, r)
				seen[strings.Join(strings.Fields(want.Steps[0])[:2], " ")]++
			}
			checkHolders(t, x, w, drawRequest(t, dirs))
		}
	})
	for _, s := range []string{"Owner of", "No permission", "No matching", "Blocked by", "Explicitly granted", "Included via", "Pattern '**'"} {
		if seen[s] == 0 {
			t.Errorf("no answer began with %q", s)
		}
	}
}

// checkLimit holds the limits of the deciding rule against a file.
func checkLimit(t *rapid.T, w *slowTree, d perm.Decision) {
	f := perm.File{Size: rapid.Int64Range(0, 4).Draw(t, "file size"), Dir: rapid.Bool().Draw(t, "file is a folder"), Symlink: rapid.Bool().Draw(t, "file is a symlink")}
	got := answer(d.Limit(f))
	want := answer(d)
	if d.Allowed && !d.Owner && d.Request.Want >= perm.Create {
		limits := w.limits(d.By)
		for text, over := range map[string]bool{
			"Blocked by max_file_size limit":  limits.MaxFileSize > 0 && f.Size > limits.MaxFileSize,
			"Blocked by allow_dirs limit":     limits.NoDirs && f.Dir,
			"Blocked by allow_symlinks limit": !limits.AllowSymlinks && f.Symlink,
		} {
			if over {
				want.Allowed = false
				want.Steps = append(want.Steps, text)
			}
		}
	}
	slices.Sort(got.Steps)
	slices.Sort(want.Steps)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%+v limited by %+v:\n%s", d.Request, f, diff)
	}
}

// limits finds the limits of a rule by its place.
func (w *slowTree) limits(at perm.Source) perm.Limits {
	for dir := range w.files {
		if f := w.file(dir); f != nil && f.shown == at.File {
			for _, r := range f.Rules {
				if r.From.Line == at.Line {
					return r.Limits
				}
			}
		}
	}
	return perm.Limits{}
}

// checkRemedy does what a remedy says, and asks again.
func checkRemedy(t *rapid.T, w *slowTree, d perm.Decision) {
	r, ok := d.Remedy()
	if d.Allowed {
		if ok || r != (perm.Remedy{}) {
			t.Fatalf("%+v is allowed; remedy %+v", d.Request, r)
		}
		return
	}
	broken := strings.HasPrefix(d.Steps[0].Text, "Blocked by invalid")
	if ok == broken || r.Text == "" || !strings.Contains(d.Explain(), r.Text) {
		t.Fatalf("%+v: remedy %+v, %v\n%s", d.Request, r, ok, d.Explain())
	}
	if broken {
		return
	}
	after := &slowTree{owner: w.owner, files: map[string][]perm.Ruleset{}}
	for dir, sets := range w.files {
		after.files[dir] = sets
	}
	if !after.remedy(d.Request, r) {
		return // it takes a pattern that a person must think of
	}
	if a := after.decide(d.Request); !a.Allowed {
		t.Fatalf("%+v: the remedy %+v leads to %+v", d.Request, r, a)
	}
}

// remedy adds the grant, by an exact pattern if a new rule is needed. It is false if no exact pattern does.
func (w *slowTree) remedy(q perm.Request, r perm.Remedy) bool {
	dir := strings.TrimPrefix(strings.TrimPrefix(r.File[:strings.LastIndex(r.File, "/")], "/"+string(w.owner)), "/")
	grants := map[perm.Level][]string{perm.Read: {r.Entry}, r.Level: {r.Entry}}
	rel := slowBelow(&slowFile{dir: dir}, q.Path)
	rule := perm.Rule{Pattern: rel, Grants: grants}
	if rel == "" {
		rule.Pattern = "**"
	}
	sets := slices.Clone(w.files[dir])
	w.files[dir] = sets
	if !r.Exists {
		w.files[dir] = append(sets, perm.Ruleset{Kind: r.Kind, Rules: []perm.Rule{rule}})
		return !strings.ContainsAny(rel, "*?[{")
	}
	for i, rs := range sets {
		if rs.Kind != r.Kind {
			continue
		}
		rs.Rules = slices.Clone(rs.Rules)
		if r.Pattern == "" {
			rs.Rules = append(rs.Rules, rule)
			sets[i] = rs
			return !strings.ContainsAny(rel, `*?[{}\`)
		}
		for k, old := range rs.Rules {
			if old.Pattern != r.Pattern {
				continue
			}
			added := map[perm.Level][]string{}
			for level, list := range old.Grants {
				added[level] = list
			}
			added[r.Level] = append(slices.Clone(added[r.Level]), r.Entry)
			rs.Rules[k].Grants = added
		}
		sets[i] = rs
	}
	return true
}

// checkTrace holds a trace against the decision and the files.
func checkTrace(t *rapid.T, x *perm.Index, w *slowTree, r perm.Request) {
	tr, err := x.Trace(r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w.decide(r), answer(tr.Decision)); diff != "" {
		t.Fatal(diff)
	}
	speak := w.governing(r.Path, r.IsDir || r.Path == "")
	var want, got []string
	rules := 0
	for i, f := range speak {
		role := perm.RoleAdds
		if f.Broken != nil {
			role = perm.RoleUnreadable
		} else if rules += len(f.Rules); i+1 == len(speak) {
			role = perm.RoleDecides
		}
		want = append(want, f.shown+" "+role.String())
	}
	for _, f := range tr.Files {
		switch f.Role {
		case perm.RoleAdds, perm.RoleDecides, perm.RoleUnreadable:
			got = append(got, f.From.File+" "+f.Role.String())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%+v: %s", r, diff)
	}
	if len(tr.Rules) != rules && speak[0].Broken == nil {
		t.Fatalf("%d rules, want %d", len(tr.Rules), rules)
	}
	decides := 0
	for _, rule := range tr.Rules {
		if !rule.Decides {
			continue
		}
		decides++
		if rule.From != tr.Decision.By || rule.Pattern != tr.Decision.Pattern || !rule.Matched {
			t.Fatalf("%+v decides, not what %+v says", rule, tr.Decision)
		}
	}
	if (decides == 1) != (tr.Decision.Pattern != "") || decides > 1 {
		t.Fatalf("%d rules decide; %+v", decides, tr.Decision)
	}
}

// checkHolders holds the list of holders against decisions about single people.
func checkHolders(t *rapid.T, x *perm.Index, w *slowTree, r perm.Request) {
	holders, err := x.Holders(r)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]perm.Holder{}
	for i, h := range holders {
		if _, twice := listed[h.Entry]; twice || i > 0 && holders[i-1].Level < h.Level {
			t.Fatalf("%+v: %+v", r, holders)
		}
		listed[h.Entry] = h
	}
	level := func(u perm.User) perm.Level {
		q := r
		q.User, q.Want = u, perm.None
		return w.decide(q).Level
	}
	if got := listed["*"].Level; got != level(perm.Anonymous) {
		t.Fatalf("%+v: everyone holds %v, listed %v", r, level(perm.Anonymous), got)
	}
	anybody := level("nobody.else@w.net")
	for _, u := range someUsers {
		h, ok := listed[string(u)]
		if u == carol && ok {
			t.Fatal("the owner is listed")
		}
		_, err := perm.ParseUser(string(u)) // else nobody signs in by it
		if ok && err == nil && h.Level != level(u) {
			t.Fatalf("%+v: %s holds %v, listed %+v", r, u, level(u), h)
		}
		// Whoever holds something else than a stranger is listed, or covered by a glob.
		covered := slices.ContainsFunc(holders, func(h perm.Holder) bool {
			return strings.ContainsAny(h.Entry, "*?[]") && h.Entry != "*" && slowNames(perm.KindPub, h.Entry, u)
		})
		if u != carol && err == nil && !ok && !covered && level(u) != anybody {
			t.Fatalf("%+v: %s holds %v, a stranger %v; listed %+v", r, u, level(u), anybody, holders)
		}
	}
}
