package perm

import (
	"fmt"
	"iter"
	"strings"
)

// Trace is everything that was looked at for a decision.
type Trace struct {
	Decision Decision
	Files    []TracedFile // every rule file from the datasite down to the path, top first
	Rules    []TracedRule // of the files that speak: in the order in which they are tried (syft.pub.yaml) or applied (syftperm.yaml)
}

// TracedFile is a rule file on the way to a path.
type TracedFile struct {
	From Source
	Kind Kind
	Role FileRole
}

// FileRole is the part that a rule file plays for a path.
type FileRole uint8

// The roles.
const (
	RoleDecides    FileRole = iota + 1 // governs: the only one that counts (syft.pub.yaml), or the deepest (syftperm.yaml)
	RoleAdds                           // a syftperm.yaml above the one that governs
	RoleReplaced                       // a deeper file governs, and this one plays no part
	RoleIgnored                        // a terminal file above ends the search
	RoleBeside                         // a syftperm.yaml in the folder of a syft.pub.yaml
	RoleInside                         // the syftperm.yaml of the very folder that was asked about
	RoleUnreadable                     // broken: its folder and all below is the owner's only
	RoleShut                           // below a broken file
)

var roleWords = [...]string{
	RoleDecides: "decides", RoleAdds: "adds to it", RoleReplaced: "replaced by a deeper file", RoleIgnored: "below a terminal file",
	RoleBeside: "ignored beside " + FilePub, RoleInside: "covers only what is in it", RoleUnreadable: "unreadable", RoleShut: "below an unreadable file",
}

// String tells the role in words.
func (r FileRole) String() string {
	if r > 0 && int(r) < len(roleWords) {
		return roleWords[r]
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// TracedRule is a rule of a file that speaks.
type TracedRule struct {
	From    Source
	Pattern string
	Deny    bool  // syftperm.yaml: it takes the named rights away
	Matched bool  // the pattern matches the path
	Names   bool  // its lists name the user
	Decides bool  // the decision stands on it
	Level   Level // the highest that its lists give the user, or take away
	Grants  map[Level][]string
	Score   int // syft.pub.yaml: the rule with the highest is tried first
}

// String tells what became of the rule, in words.
func (r TracedRule) String() string {
	what, level := "gives ", r.Level.String()
	if r.Deny {
		what = "takes away "
	}
	switch {
	case !r.Matched:
		return "does not match"
	case !r.Names && r.Decides:
		return "decides, and does not name the user"
	case !r.Names:
		return "matches, and does not name the user"
	case r.Decides:
		return "decides, and " + what + level
	}
	return what + level + ", but another rule decides"
}

// Trace decides r and tells everything that was looked at. Its errors are those of Decide.
func (x *Index) Trace(r Request) (Trace, error) {
	t := Trace{Decision: Decision{Request: r}}
	s := x.site(r.Owner)
	epoch := s.epoch.Load()
	q, err := x.consider(s, epoch, &r)
	if err != nil {
		return t, err
	}
	var decider *rule
	if r.byOwner() {
		t.Decision = x.ownersDecision(r)
	} else {
		v := q.judge()
		f := v.find(r.Want)
		decider, t.Decision = f.rule, x.memory.Load().outcome(&f).decision(r)
	}
	for _, f := range q.reign.files {
		who := f.who(r.User)
		for _, src := range f.rules {
			mine := src.granted(who, &q.vars)
			tr := TracedRule{From: src.from, Pattern: src.pattern, Deny: src.deny, Matched: src.matcher.match(inside(f.dir, r.Path), &q.vars),
				Names: mine != 0, Decides: src == decider, Level: mine.highest(), Grants: src.lists()}
			if f.kind == KindPub {
				tr.Score = Score(src.pattern)
			}
			t.Rules = append(t.Rules, tr)
		}
	}
	t.Files, err = x.tracedFiles(s, epoch, q.reign, &r)
	return t, err
}

// tracedFiles gives the rule files on the way to the path of r, with the parts that they play where g reigns.
func (x *Index) tracedFiles(s *site, epoch uint64, g *reign, r *Request) ([]TracedFile, error) {
	var all []TracedFile
	ended := FileRole(0) // what makes deeper files play no part
	for dir := range wayTo(r) {
		f, err := x.ownFile(s, epoch, dir)
		if err != nil {
			return nil, err
		}
		if f == nil {
			continue
		}
		role := RoleReplaced
		switch {
		case ended != 0:
			role = ended
		case f.broken != nil:
			role, ended = RoleUnreadable, RoleShut
		case f == g.last():
			role = RoleDecides
		case g.has(f):
			role = RoleAdds
		case f.kind == KindPerm && r.isDir() && dir == r.Path:
			role = RoleInside
		}
		if f.terminal && ended == 0 {
			ended = RoleIgnored
		}
		all = append(all, TracedFile{From: f.from, Kind: f.kind, Role: role})
		if f.beside != nil {
			all = append(all, TracedFile{From: f.beside.from, Kind: f.beside.kind, Role: RoleBeside})
		}
	}
	return all, nil
}

// wayTo gives the folders whose rule files may have a say about a path, from the datasite down.
func wayTo(r *Request) iter.Seq[string] {
	deepest := r.Path
	if !r.isDir() {
		deepest, _ = parent(r.Path)
	}
	return func(yield func(string) bool) {
		if !yield("") || deepest == "" {
			return
		}
		for at := 0; ; at++ {
			i := strings.IndexByte(deepest[at:], '/')
			if i < 0 {
				yield(deepest)
				return
			}
			if at += i; !yield(deepest[:at]) {
				return
			}
		}
	}
}
