package perm

import "strconv"

// Reasons that Explain looks for.
const (
	noFile      = "No permission found"
	noRule      = "No matching rules found"
	brokenAt    = "Blocked by invalid permission file at "
	adminNeeded = "Permission file: admin required"
)

// decide renders a verdict for one level, with its reasons. The request is filled in by the caller.
func (out *verdict) decide(want Level) *Decision {
	d := &Decision{Level: out.level()}
	gov := out.reign.last()
	switch {
	case gov == nil:
		d.say(noFile, Source{})
	case gov.broken != nil:
		d.By = gov.from
		d.say(brokenAt+gov.shown, gov.from)
		d.say(gov.broken.Error(), gov.from) // what to repair
	case gov.kind == KindPub:
		out.decidePub(d, gov, want)
	default:
		out.decidePerm(d, gov, want)
	}
	if out.ruleFile && (want == Create || want == Write) {
		d.say(adminNeeded, Source{})
	}
	return d
}

func (d *Decision) say(text string, from Source) {
	d.Steps = append(d.Steps, Step{Text: text, From: from})
}

// matched fills in the rule that decides.
func (d *Decision) matched(r *rule) {
	d.Pattern, d.By, d.Limits = r.pattern, r.from, r.limits
}

// grantedBy gives the first reason of a grant: the level top of rule r is what reaches want.
func (d *Decision) grantedBy(r *rule, top, want Level) {
	if top == want {
		d.say("Explicitly granted "+want.String()+" in "+r.in.shown, r.from)
		return
	}
	d.say("Included via "+top.String()+" permission in "+r.in.shown, r.from)
}

// sayPattern gives the reasons that every matched rule has.
func (out *verdict) sayPattern(d *Decision, r *rule) {
	d.say("Pattern '"+r.pattern+"' matched", r.from)
	if r.in != out.nearby {
		d.say("Nearest-node: Inherited from parent directory ("+r.in.shownDir+")", r.in.from)
	}
}

func (out *verdict) decidePub(d *Decision, gov *file, want Level) {
	blocked := func() {
		if gov.terminal {
			d.say("Blocked by terminal at "+gov.shownDir, gov.from)
		}
	}
	r := out.rule
	if r == nil {
		d.By = gov.from
		d.say(noRule, gov.from)
		blocked()
		return
	}
	d.matched(r)
	need := out.need(want)
	top := out.held.highest()
	if d.Allowed = top >= need; d.Allowed {
		d.grantedBy(r, top, max(want, Read))
		out.sayPattern(d, r)
		if out.public.highest() >= need {
			d.say("Public access (*)", r.from)
		}
		return
	}
	out.sayPattern(d, r)
	if out.held == 0 {
		d.say("User not in access list", r.from)
		if r.all == 0 {
			blocked()
		}
	}
}

func (out *verdict) decidePerm(d *Decision, gov *file, want Level) {
	if out.rule == nil {
		d.By = gov.from
		d.say(noRule, gov.from)
		return
	}
	if !out.applied {
		d.matched(out.rule)
		out.sayPattern(d, out.rule)
		d.say("User not in access list", out.rule.from)
		return
	}
	need := out.need(want)
	if d.Allowed = out.reaches(need); d.Allowed {
		top := need
		if out.held.has(Admin) {
			top = Admin
		}
		r := out.by[top]
		d.matched(r)
		d.grantedBy(r, top, max(want, Read))
		out.sayPattern(d, r)
		if out.public.has(top) {
			d.say("Public access (*)", r.from)
		}
		return
	}
	r := out.by[need]
	if r == nil {
		d.matched(out.rule)
		out.sayPattern(d, out.rule) // it names the user, for other rights
		return
	}
	d.matched(r)
	out.sayPattern(d, r)
	if r.deny {
		d.disallowed(r)
		return
	}
	d.say(need.String()+" needs read", r.from)
	if reader := out.by[Read]; reader != nil && reader.deny {
		d.disallowed(reader)
	}
}

func (d *Decision) disallowed(r *rule) {
	d.say("Disallowed in "+r.in.shown+" by rule "+strconv.Itoa(r.nth), r.from)
}
