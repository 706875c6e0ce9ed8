package perm_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/openmined/syftfs/perm"
)

// slowTree is the second implementation: sections 1 to 6 of permissions.md, read in order, for one datasite.
type slowTree struct {
	owner perm.User
	files map[string][]perm.Ruleset // by folder
}

// slowAnswer is what both implementations must agree on.
type slowAnswer struct {
	Allowed, Owner bool
	Level          perm.Level
	Pattern, By    string
	Steps          []string
}

// slowFile is a rule file that counts.
type slowFile struct {
	perm.Ruleset
	dir, shown, folder string
}

func (w *slowTree) file(dir string) *slowFile {
	var found *slowFile
	for _, kind := range []perm.Kind{perm.KindPerm, perm.KindPub} { // the second one counts
		for _, rs := range w.files[dir] {
			if rs.Kind == kind {
				folder := strings.TrimSuffix("/"+string(w.owner)+"/"+dir, "/")
				found = &slowFile{rs, dir, folder + "/" + kind.String(), folder}
			}
		}
	}
	return found
}

// governing gives the files that speak: one syft.pub.yaml, one broken file, or a chain of syftperm.yaml, from the top.
func (w *slowTree) governing(rel string, isDir bool) []*slowFile {
	dirs := []string{""}
	names := strings.Split(rel, "/")
	if rel == "" {
		names = nil
	}
	for i := range names {
		if i+1 < len(names) || isDir {
			dirs = append(dirs, strings.Join(names[:i+1], "/"))
		}
	}
	var speak []*slowFile
	for _, dir := range dirs {
		f := w.file(dir)
		switch {
		case f == nil:
		case f.Broken != nil:
			return []*slowFile{f}
		case f.Kind == perm.KindPub:
			if speak = []*slowFile{f}; f.Terminal {
				return speak
			}
		case isDir && dir == rel: // covers only what is below it
		case len(speak) > 0 && speak[0].Kind == perm.KindPub:
			speak = []*slowFile{f}
		default:
			speak = append(speak, f)
		}
	}
	return speak
}

// slowNames tells whether an entry of a list names u.
func slowNames(kind perm.Kind, entry string, u perm.User) bool {
	switch {
	case entry == "*":
		return true
	case slowNobody(u):
		return false
	case kind == perm.KindPub && entry == "USER":
		return true
	case kind == perm.KindPub && strings.ContainsAny(entry, "*?[]"):
		if perm.CheckUser(entry) != nil {
			return false
		}
		for _, one := range slowAlternatives(slowMarks(entry)) {
			if slowSegments(slowSplit(one), strings.Split(string(u), "/")) {
				return true
			}
		}
		return false
	}
	return entry == string(u)
}

// list gives the levels whose lists name u.
func slowList(kind perm.Kind, r perm.Rule, u perm.User) map[perm.Level]bool {
	got := map[perm.Level]bool{}
	for level, entries := range r.Grants {
		for _, e := range entries {
			if slowNames(kind, e, u) {
				got[level] = true
			}
		}
	}
	return got
}

var slowLevels = []perm.Level{perm.Read, perm.Create, perm.Write, perm.Admin}

func (w *slowTree) decide(r perm.Request) slowAnswer {
	if r.User == w.owner && !slowNobody(r.User) {
		return slowAnswer{Allowed: true, Owner: true, Level: perm.Admin, Steps: []string{"Owner of path"}}
	}
	base := r.Path[strings.LastIndex(r.Path, "/")+1:]
	ruleFile := base == "syft.pub.yaml" || base == "syftperm.yaml"
	r.IsDir = r.IsDir || r.Path == "" // a datasite is a folder
	files := w.governing(r.Path, r.IsDir)
	var a slowAnswer
	switch {
	case len(files) == 0:
		a.Steps = []string{"No permission found"}
	case files[0].Broken != nil:
		a.By = files[0].shown
		a.Steps = []string{"Blocked by invalid permission file at " + files[0].shown, files[0].Broken.Error()}
	case files[0].Kind == perm.KindPub:
		a = slowDecidePub(files[0], r, ruleFile)
	default:
		a = slowDecidePerm(files, r, ruleFile)
	}
	if ruleFile && (r.Want == perm.Create || r.Want == perm.Write) {
		a.Steps = append(a.Steps, "Permission file: admin required")
	}
	return a
}

func slowNeed(want perm.Level, ruleFile bool) perm.Level {
	if ruleFile && (want == perm.Create || want == perm.Write) {
		return perm.Admin
	}
	return max(want, perm.Read)
}

// slowBelow is rel relative to the folder of f.
func slowBelow(f *slowFile, rel string) string {
	return strings.TrimPrefix(strings.TrimPrefix(rel, f.dir), "/")
}

// slowMatched gives the reasons of any rule that matched.
func slowMatched(f *slowFile, rule perm.Rule, r perm.Request) []string {
	steps := []string{"Pattern '" + rule.Pattern + "' matched"}
	own := r.Path[:max(strings.LastIndex(r.Path, "/"), 0)]
	if f.dir != own && !(r.IsDir && f.dir == r.Path) {
		steps = append(steps, "Nearest-node: Inherited from parent directory ("+f.folder+")")
	}
	return steps
}

func slowBy(f *slowFile, rule perm.Rule) string { return fmt.Sprintf("%s:%d", f.shown, rule.From.Line) }

func slowDecidePub(f *slowFile, r perm.Request, ruleFile bool) slowAnswer {
	var blocked []string
	if f.Terminal {
		blocked = []string{"Blocked by terminal at " + f.folder}
	}
	rules := slices.Clone(f.Rules)
	slices.SortStableFunc(rules, func(a, b perm.Rule) int { return slowScore(b.Pattern) - slowScore(a.Pattern) })
	at := slices.IndexFunc(rules, func(x perm.Rule) bool { return slowPub(x.Pattern, slowBelow(f, r.Path), r.User, r.Now) })
	if at < 0 {
		return slowAnswer{By: f.shown, Steps: append([]string{"No matching rules found"}, blocked...)}
	}
	rule := rules[at]
	var top, everyone perm.Level
	nobody := true
	for _, level := range slowLevels {
		if slowList(f.Kind, rule, r.User)[level] {
			top = level
		}
		if slices.Contains(rule.Grants[level], "*") {
			everyone = level
		}
		nobody = nobody && len(rule.Grants[level]) == 0
	}
	a := slowAnswer{Pattern: rule.Pattern, By: slowBy(f, rule)}
	for _, level := range slowLevels {
		if top >= slowNeed(level, ruleFile) {
			a.Level = level
		}
	}
	need, want := slowNeed(r.Want, ruleFile), max(r.Want, perm.Read)
	if a.Allowed = top >= need; a.Allowed {
		if top == want {
			a.Steps = append(a.Steps, "Explicitly granted "+want.String()+" in "+f.shown)
		} else {
			a.Steps = append(a.Steps, "Included via "+top.String()+" permission in "+f.shown)
		}
		a.Steps = append(a.Steps, slowMatched(f, rule, r)...)
		if everyone >= need {
			a.Steps = append(a.Steps, "Public access (*)")
		}
		return a
	}
	a.Steps = slowMatched(f, rule, r)
	if top == perm.None {
		a.Steps = append(a.Steps, "User not in access list")
		if nobody {
			a.Steps = append(a.Steps, blocked...)
		}
	}
	return a
}

// slowSet is who set or cleared a bit last.
type slowSet struct {
	f    *slowFile
	rule perm.Rule
	nth  int
}

func slowDecidePerm(files []*slowFile, r perm.Request, ruleFile bool) slowAnswer {
	bits, public := map[perm.Level]bool{}, map[perm.Level]bool{}
	last := map[perm.Level]slowSet{}
	var applied, other *slowSet // the last rule for this user; the first one for others
	for _, f := range files {
		for i, rule := range f.Rules {
			if !slowPerm(rule.Pattern, slowBelow(f, r.Path), r.User) {
				continue
			}
			s := slowSet{f, rule, i + 1}
			mine := slowList(f.Kind, rule, r.User)
			if len(mine) == 0 {
				if other == nil {
					other = &s
				}
				continue
			}
			applied = &s
			for level := range mine {
				bits[level] = !rule.Deny
				public[level] = !rule.Deny && slices.Contains(rule.Grants[level], "*")
				last[level] = s
			}
		}
	}
	reach := func(need perm.Level) bool { return bits[perm.Admin] || bits[need] && bits[perm.Read] }
	if applied == nil && other == nil {
		return slowAnswer{By: files[len(files)-1].shown, Steps: []string{"No matching rules found"}}
	}
	var a slowAnswer
	say := func(s slowSet, steps ...string) slowAnswer {
		a.Pattern, a.By = s.rule.Pattern, slowBy(s.f, s.rule)
		a.Steps = append(a.Steps, slowMatched(s.f, s.rule, r)...)
		a.Steps = append(a.Steps, steps...)
		return a
	}
	if applied == nil {
		return say(*other, "User not in access list")
	}
	for _, level := range slowLevels {
		if reach(slowNeed(level, ruleFile)) {
			a.Level = level
		}
	}
	need, want := slowNeed(r.Want, ruleFile), max(r.Want, perm.Read)
	takenBy := func(s slowSet) string { return fmt.Sprintf("Disallowed in %s by rule %d", s.f.shown, s.nth) }
	switch s, set := last[need]; {
	case reach(need):
		a.Allowed = true
		through := need
		if bits[perm.Admin] {
			through = perm.Admin
		}
		s = last[through]
		if through == want {
			a.Steps = []string{"Explicitly granted " + want.String() + " in " + s.f.shown}
		} else {
			a.Steps = []string{"Included via " + through.String() + " permission in " + s.f.shown}
		}
		if public[through] {
			return say(s, "Public access (*)")
		}
		return say(s)
	case !set:
		return say(*applied)
	case !bits[need]:
		return say(s, takenBy(s))
	default:
		steps := []string{need.String() + " needs read"}
		if reader, ok := last[perm.Read]; ok {
			steps = append(steps, takenBy(reader))
		}
		return say(s, steps...)
	}
}
