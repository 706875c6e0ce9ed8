package perm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

// file is a rule file, compiled.
type file struct {
	id       uint64 // no other file or rule of the index has it
	dir      string // below the datasite
	shown    string // "/owner@x.org/dir/syft.pub.yaml", as reasons name it
	shownDir string // "/owner@x.org/dir"
	kind     Kind
	terminal bool
	broken   error
	rules    []*rule // syft.pub.yaml: most specific first; syftperm.yaml: as written
	gates    []gate  // of each rule
	entries  []entry // of all lists, each once
	names    map[User]int32
	dated    bool  // some pattern depends on the date
	personal bool  // some pattern depends on the user
	beside   *file // the syftperm.yaml of the same folder, which plays no part
	from     Source
}

// rule is one rule of a file, compiled.
type rule struct {
	id      uint64
	in      *file
	nth     int // 1-based, as written
	pattern string
	matcher matcher
	deny    bool
	globs   bool    // some entry is a glob
	public  bits    // what "*" is given
	anyUser bits    // what USER is given
	grants  []grant // level by level, each in the order of its list
	limits  Limits
	from    Source
}

// entry is an entry of a list of users.
type entry struct {
	text string
	kind entryKind
	glob *pubGlob
}

type entryKind uint8

const (
	entryName entryKind = iota
	entryGlob
	entryUser // USER
	entryAll  // *
	entryNone // names nobody: a glob that is not valid
)

// grant is one mention of an entry in a list.
type grant struct {
	entry int32 // in file.entries
	level Level
}

// bits is a set of levels.
type bits uint8

func bit(l Level) bits          { return 1 << l }
func (b bits) has(l Level) bool { return b&bit(l) != 0 }
func (b bits) highest() (top Level) {
	for l := Read; l <= Admin; l++ {
		if b.has(l) {
			top = l
		}
	}
	return top
}

var errPatterns = errors.New("the {...} of this file stand for too many patterns; write fewer alternatives")

var errTwoFiles = errors.New("two rule files of the same name")

// compileFile never fails: what cannot be compiled is a broken file, which leaves its folder to the owner.
func compileFile(owner User, dir string, rs Ruleset, ids *atomic.Uint64) *file {
	f := &file{id: ids.Add(1), dir: dir, kind: rs.Kind, terminal: rs.Terminal && rs.Kind == KindPub, broken: rs.Broken, from: rs.From}
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
	if err := f.compileRules(rs.Rules, ids); err != nil {
		f.fail(err)
	}
	return f
}

// fail makes f a broken file.
func (f *file) fail(err error) {
	f.broken, f.rules, f.gates, f.entries, f.names = err, nil, nil, nil, nil
}

func (f *file) compileRules(rules []Rule, ids *atomic.Uint64) error {
	f.rules = make([]*rule, 0, len(rules))
	c := compiler{file: f, entries: map[string]int32{}}
	for i := range rules {
		r, err := c.rule(i+1, &rules[i])
		if err != nil {
			return wrongPattern(rules[i].Pattern, err)
		}
		r.id = ids.Add(1)
		f.dated = f.dated || r.matcher.usesDate()
		f.personal = f.personal || r.matcher.usesUser()
		f.rules = append(f.rules, r)
	}
	f.names = make(map[User]int32, len(f.entries))
	for i, e := range f.entries {
		if e.kind == entryName {
			f.names[User(e.text)] = int32(i)
		}
	}
	if f.kind == KindPub {
		slices.SortStableFunc(f.rules, func(a, b *rule) int { return Score(b.pattern) - Score(a.pattern) })
	}
	f.gates = make([]gate, len(f.rules))
	for i, r := range f.rules {
		f.gates[i] = r.matcher.gate()
	}
	return nil
}

// compiler compiles the rules of a file.
type compiler struct {
	file    *file
	entries map[string]int32 // known already
	size    int              // of what was written out
}

// wrote adds to the size, and fails beyond the bound.
func (c *compiler) wrote(size int) error {
	if c.size += size; c.size > maxWritten {
		return errPatterns
	}
	return nil
}

func (c *compiler) rule(nth int, src *Rule) (*rule, error) {
	f := c.file
	m, err := compile(f.kind, src.Pattern)
	if err != nil {
		return nil, err
	}
	if err := c.wrote(m.written()); err != nil {
		return nil, err
	}
	if src.Deny && f.kind == KindPub {
		return nil, errors.New("a rule of syft.pub.yaml cannot take rights away")
	}
	r := &rule{in: f, nth: nth, pattern: src.Pattern, matcher: m, deny: src.Deny, limits: src.Limits, from: src.From}
	if r.from.File == "" {
		r.from.File = f.from.File
	}
	n := 0
	for level, entries := range src.Grants {
		if level < Read || level > Admin {
			return nil, fmt.Errorf("unknown level %d", level)
		}
		n += len(entries)
	}
	r.grants = make([]grant, 0, n)
	for level := Read; level <= Admin; level++ {
		for _, text := range src.Grants[level] {
			i, err := c.entry(text)
			if err != nil {
				return nil, err
			}
			r.grant(i, level)
		}
	}
	return r, nil
}

// entry gives the place of an entry among those of the file.
func (c *compiler) entry(text string) (int32, error) {
	if i, known := c.entries[text]; known {
		return i, nil
	}
	e := compileEntry(c.file.kind, text)
	if e.glob != nil {
		if err := c.wrote(e.glob.written()); err != nil {
			return 0, fmt.Errorf("entry %q: %w", clip(text), err)
		}
	}
	i := int32(len(c.file.entries))
	c.entries[text] = i
	c.file.entries = append(c.file.entries, e)
	return i, nil
}

func compileEntry(kind Kind, text string) entry {
	switch {
	case strings.IndexByte(text, 0) >= 0: // no address, but perhaps one of the stand-ins for somebody without one
		return entry{text: text, kind: entryNone}
	case text == "*":
		return entry{text: text, kind: entryAll}
	case kind == KindPub && text == "USER":
		return entry{text: text, kind: entryUser}
	case kind == KindPub && strings.ContainsAny(text, "*?[]"):
		g, err := compileUserGlob(text)
		if err != nil {
			return entry{text: text, kind: entryNone} // lists only grant, so this opens nothing
		}
		return entry{text: text, kind: entryGlob, glob: g}
	}
	return entry{text: text}
}

// grant adds an entry of the file to the list of a level.
func (r *rule) grant(i int32, level Level) {
	r.grants = append(r.grants, grant{i, level})
	switch r.in.entries[i].kind {
	case entryAll:
		r.public |= bit(level)
	case entryUser:
		r.anyUser |= bit(level)
	case entryGlob:
		r.globs = true
	}
}

// CheckUser tells what is wrong with an entry of a list of users with wildcards: nil for any other entry.
func CheckUser(entry string) error {
	if !strings.ContainsAny(entry, "*?[]") {
		return nil
	}
	_, err := compileUserGlob(entry)
	return err
}

// who finds u among the names of the lists, -1 for nowhere.
func (f *file) who(u User) int32 {
	if i, ok := f.names[u]; ok {
		return i
	}
	return -1
}

// anybody reports whether r names anybody at all.
func (r *rule) anybody() bool { return len(r.grants) > 0 }

// granted gives the levels whose lists name the user, whom file.who found.
func (r *rule) granted(who int32, v *vars) bits {
	got := r.public
	if v.user.nobody() {
		return got
	}
	got |= r.anyUser
	if who < 0 && !r.globs {
		return got
	}
	for _, g := range r.grants {
		switch {
		case g.entry == who:
			got |= bit(g.level)
		case r.globs && !got.has(g.level):
			if e := &r.in.entries[g.entry]; e.kind == entryGlob && e.glob.match(string(v.user), v) {
				got |= bit(g.level)
			}
		}
	}
	return got
}

// named reports whether an entry of r is the address at who.
func (r *rule) named(who int32) bool {
	return who >= 0 && slices.ContainsFunc(r.grants, func(g grant) bool { return g.entry == who })
}

// lists gives the lists as written.
func (r *rule) lists() map[Level][]string {
	m := map[Level][]string{}
	for _, g := range r.grants {
		m[g.level] = append(m[g.level], r.in.entries[g.entry].text)
	}
	return m
}

// first gives the rule of a syft.pub.yaml that decides on rel, a path below its folder.
func (f *file) first(rel string, v *vars) *rule {
	k := knock(rel)
	for i := range f.gates {
		if f.covers(i, k, rel, v) {
			return f.rules[i]
		}
	}
	return nil
}

// covers tells whether the pattern of rule i matches rel, a path below the folder of f with the marks k.
func (f *file) covers(i int, k gate, rel string, v *vars) bool {
	return f.gates[i].lets(k) && f.rules[i].matcher.match(rel, v)
}
