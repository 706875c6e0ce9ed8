package perm

import "strconv"

// finding is what a verdict comes to for one level: all that the reasons depend on, and nothing that differs between paths
// and users that are treated alike, so that outcomes can be shared.
type finding struct {
	gov      *file // the rule file that governs
	rule     *rule // the one that decides
	reader   *rule // syftperm.yaml: took away the right to read, which the level needs
	want     Level
	level    Level // the highest held
	top      Level // the one that grants want
	cause    cause
	public   bool // granted to everyone
	near     bool // the rule stands in the target's own folder, or in the target itself
	ruleFile bool
}

// cause is why a decision is what it is.
type cause uint8

const (
	granted    cause = iota
	noFile           // nothing governs
	unread           // the file that governs is broken
	noMatch          // no rule matches
	notListed        // the rule that decides does not name the user
	tooLow           // it does, at a lower level; syftperm.yaml: for other rights
	disallowed       // it takes the right away
	needsRead        // it gives the right, which does not count without another
	overLimit        // it gives the right, but not for such a file
)

// outcome is a decision without its request. It never changes.
type outcome struct {
	steps   []Step
	pattern string
	by      Source
	limits  Limits
	level   Level
	ground  ground
	key     outcomeKey
}

// outcomeKey is a finding by numbers, which keep nothing alive.
type outcomeKey struct {
	gov, rule, reader uint64
	rest              uint32
}

func (f *finding) key() outcomeKey {
	var k outcomeKey
	if f.gov != nil {
		k.gov = f.gov.id
	}
	if f.rule != nil {
		k.rule = f.rule.id
	}
	if f.reader != nil {
		k.reader = f.reader.id
	}
	k.rest = uint32(f.want) | uint32(f.level)<<3 | uint32(f.top)<<6 | uint32(f.cause)<<9
	for i, b := range [...]bool{f.public, f.near, f.ruleFile} {
		if b {
			k.rest |= 1 << (16 + i)
		}
	}
	return k
}

func (k *outcomeKey) hash() uint64 {
	h := mix(k.gov<<20 ^ uint64(k.rest))
	return mix(h*31 + k.rule<<20 + k.reader)
}

// outcome gives the outcome of f, the same one for the same finding.
func (m *memory) outcome(f *finding) *outcome {
	key := f.key()
	hash := key.hash()
	if o := m.outcomes.get(hash, func(o *outcome) bool { return o.key == key }); o != nil {
		return o
	}
	o := f.render()
	o.key = key
	m.outcomes.put(hash, o)
	return o
}

// render puts a finding into words.
func (f *finding) render() *outcome {
	o := &outcome{level: f.level, ground: ground{cause: f.cause}}
	if f.gov != nil {
		o.by = f.gov.from
		o.ground.file, o.ground.kind = f.gov.shown, f.gov.kind
	}
	if r := f.rule; r != nil {
		o.pattern, o.by, o.limits = r.pattern, r.from, r.limits
	}
	switch f.cause {
	case noFile:
		o.say("No permission found", Source{})
	case unread:
		o.say("Blocked by invalid permission file at "+f.gov.shown, f.gov.from)
		o.say(f.gov.broken.Error(), f.gov.from) // what to repair
	case noMatch:
		o.say("No matching rules found", f.gov.from)
		o.blocked(f.gov)
	case granted:
		if want := max(f.want, Read); f.top == want {
			o.say("Explicitly granted "+want.String()+" in "+f.rule.in.shown, f.rule.from)
		} else {
			o.say("Included via "+f.top.String()+" permission in "+f.rule.in.shown, f.rule.from)
		}
		o.matched(f)
		if f.public {
			o.say("Public access (*)", f.rule.from)
		}
	default:
		o.matched(f)
		o.refused(f)
	}
	if f.ruleFile && (f.want == Create || f.want == Write) {
		o.say("Permission file: admin required", Source{})
	}
	return o
}

func (o *outcome) say(text string, from Source) {
	o.steps = append(o.steps, Step{Text: text, From: from})
}

// matched gives the reasons that every rule has that matches.
func (o *outcome) matched(f *finding) {
	o.say("Pattern '"+f.rule.pattern+"' matched", f.rule.from)
	if !f.near {
		o.say("Nearest-node: Inherited from parent directory ("+f.rule.in.shownDir+")", f.rule.in.from)
	}
}

// blocked says that a terminal file kept others from having their say.
func (o *outcome) blocked(gov *file) {
	if gov.terminal {
		o.say("Blocked by terminal at "+gov.shownDir, gov.from)
	}
}

// refused gives the reasons of a rule that matches and does not grant.
func (o *outcome) refused(f *finding) {
	switch f.cause {
	case notListed:
		o.say("User not in access list", f.rule.from)
		if f.gov.kind == KindPub && !f.rule.anybody() {
			o.blocked(f.gov)
		}
	case disallowed:
		o.disallowed(f.rule)
	case needsRead:
		o.say(f.want.String()+" needs read", f.rule.from)
		if f.reader != nil {
			o.disallowed(f.reader)
		}
	}
}

func (o *outcome) disallowed(r *rule) {
	o.say("Disallowed in "+r.in.shown+" by rule "+strconv.Itoa(r.nth), r.from)
}

// decision answers r. Whoever appends to the steps gets a copy of them.
func (o *outcome) decision(r Request) Decision {
	return Decision{Request: r, Allowed: o.ground.cause == granted, Level: o.level, Pattern: o.pattern, By: o.by, Limits: o.limits,
		Steps: o.steps[:len(o.steps):len(o.steps)], ground: &o.ground}
}
