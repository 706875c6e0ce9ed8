package perm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// file is a rule file, compiled.
type file struct {
	dir      string // below the datasite
	shown    string // "/owner@x.org/dir/syft.pub.yaml", as reasons name it
	shownDir string // "/owner@x.org/dir"
	kind     Kind
	terminal bool
	broken   error
	rules    []*rule // syft.pub.yaml: most specific first; syftperm.yaml: as written
	dated    bool    // some pattern depends on the date
	beside   *file   // the syftperm.yaml of the same folder, which plays no part
	from     Source
}

// rule is one rule of a file, compiled.
type rule struct {
	in      *file
	nth     int // 1-based, as written
	pattern string
	matcher matcher
	deny    bool
	names   map[User]bits // entries without wildcard
	globs   []userGlob
	grants  map[Level][]string // as written
	public  bits               // what "*" is given
	anyUser bits               // what USER is given
	all     bits               // every level that has an entry at all
	limits  Limits
	from    Source
}

// userGlob is an entry of a list with wildcards.
type userGlob struct {
	entry string // as written
	glob  *pubGlob
	bits  bits
}

// bits is a set of levels.
type bits uint8

func bit(l Level) bits            { return 1 << l }
func (b bits) has(l Level) bool   { return b&bit(l) != 0 }
func (b bits) within(o bits) bool { return b&^o == 0 }
func (b bits) highest() (top Level) {
	for l := Read; l <= Admin; l++ {
		if b.has(l) {
			top = l
		}
	}
	return top
}

var errTwoFiles = errors.New("two rule files of the same name")

// compileFile never fails: what cannot be compiled is a broken file, which leaves its folder to the owner.
func compileFile(owner User, dir string, rs Ruleset) *file {
	f := &file{dir: dir, kind: rs.Kind, terminal: rs.Terminal && rs.Kind == KindPub, broken: rs.Broken, from: rs.From}
	f.shownDir = shownDir(owner, dir)
	f.shown = f.shownDir + "/" + rs.Kind.String()
	if f.from.File == "" {
		f.from.File = f.shown
	}
	if rs.Kind != KindPub && rs.Kind != KindPerm && f.broken == nil {
		f.broken = fmt.Errorf("unknown kind %d of rule file", rs.Kind)
	}
	if f.broken != nil {
		return f
	}
	for i := range rs.Rules {
		r, err := compileRule(f, i+1, &rs.Rules[i])
		if err != nil {
			f.broken, f.rules = err, nil
			return f
		}
		f.dated = f.dated || r.matcher.usesDate()
		f.rules = append(f.rules, r)
	}
	if f.kind == KindPub {
		slices.SortStableFunc(f.rules, func(a, b *rule) int { return Score(b.pattern) - Score(a.pattern) })
	}
	return f
}

func compileRule(f *file, nth int, src *Rule) (*rule, error) {
	m, err := compile(f.kind, src.Pattern)
	if err != nil {
		return nil, wrongPattern(src.Pattern, err)
	}
	r := &rule{in: f, nth: nth, pattern: src.Pattern, matcher: m, deny: src.Deny, grants: src.Grants, limits: src.Limits, from: src.From}
	if r.deny && f.kind == KindPub {
		return nil, wrongPattern(src.Pattern, errors.New("a rule of syft.pub.yaml cannot take rights away"))
	}
	if r.from.File == "" {
		r.from.File = f.from.File
	}
	for level, entries := range src.Grants {
		if level < Read || level > Admin {
			return nil, wrongPattern(src.Pattern, fmt.Errorf("unknown level %d", level))
		}
		for _, e := range entries {
			r.addEntry(f.kind, e, bit(level))
		}
	}
	return r, nil
}

func (r *rule) addEntry(kind Kind, entry string, b bits) {
	r.all |= b
	switch {
	case entry == "*":
		r.public |= b
	case kind == KindPub && entry == "USER":
		r.anyUser |= b
	case kind == KindPub && strings.ContainsAny(entry, "*?[]"):
		if !strings.ContainsAny(entry, "*?[") { // a lone "]" is a character
			r.addName(entry, b)
			return
		}
		// An entry that is no valid glob names nobody. Lists only grant, so this opens nothing.
		if g, err := compileUserGlob(entry); err == nil {
			r.globs = append(r.globs, userGlob{entry, g, b})
		}
	default:
		r.addName(entry, b)
	}
}

func (r *rule) addName(entry string, b bits) {
	if r.names == nil {
		r.names = map[User]bits{}
	}
	r.names[User(entry)] |= b
}

// compileUserGlob compiles an entry such as "*@x.org"; templates mean nothing there.
func compileUserGlob(entry string) (*pubGlob, error) {
	if err := checkGlob([]piece{{text: entry}}); err != nil {
		return nil, err
	}
	glob, err := tameClasses(entry)
	if err != nil {
		return nil, err
	}
	g := &pubGlob{form: formGlob, glob: glob}
	if head, tail, one := strings.Cut(entry, "*"); one && !strings.ContainsAny(head+tail, `*?[]{}\`) {
		g.form, g.head, g.tail = formChild, head, tail
	}
	return g, nil
}

// CheckUser tells what is wrong with an entry of a list of users with wildcards: nil for any other entry.
func CheckUser(entry string) error {
	if !strings.ContainsAny(entry, "*?[") {
		return nil
	}
	_, err := compileUserGlob(entry)
	return err
}

// granted gives the levels whose lists name u.
func (r *rule) granted(v *vars) bits {
	got := r.public
	if v.user.nobody() {
		return got
	}
	got |= r.anyUser | r.names[v.user]
	for _, g := range r.globs {
		if !g.bits.within(got) && g.glob.match(string(v.user), v) {
			got |= g.bits
		}
	}
	return got
}
