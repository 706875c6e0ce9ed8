package perm

import "strconv"

// decide renders a verdict for one level, with its reasons. The request is filled in by the caller.
func (out *verdict) decide(want Level) *Decision {
	d := &Decision{Level: out.level()}
	gov := out.reign.last()
	why := granted
	switch {
	case gov == nil:
		why = noFile
		d.say("No permission found", Source{})
	case gov.broken != nil:
		why = unread
		d.By = gov.from
		d.say("Blocked by invalid permission file at "+gov.shown, gov.from)
		d.say(gov.broken.Error(), gov.from) // what to repair
	case out.rule == nil:
		why = noMatch
		d.By = gov.from
		d.say("No matching rules found", gov.from)
		d.blocked(gov)
	default:
		d.matched(out.decider(want))
		if gov.kind == KindPub {
			out.decidePub(d, gov, want)
		} else {
			out.decidePerm(d, want)
		}
		if !d.Allowed {
			why = notListed
		}
	}
	if out.ruleFile && (want == Create || want == Write) {
		d.say("Permission file: admin required", Source{})
	}
	d.ground = &ground{cause: why}
	if gov != nil {
		d.ground.file, d.ground.kind = gov.shown, gov.kind
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

// blocked says that a terminal file kept others from having their say.
func (d *Decision) blocked(gov *file) {
	if gov.terminal {
		d.say("Blocked by terminal at "+gov.shownDir, gov.from)
	}
}

func (out *verdict) decidePub(d *Decision, gov *file, want Level) {
	r, need, top := out.rule, out.need(want), out.held.highest()
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
			d.blocked(gov)
		}
	}
}

func (out *verdict) decidePerm(d *Decision, want Level) {
	r, need := out.decider(want), out.need(want)
	if d.Allowed = out.reaches(need); d.Allowed {
		top := need
		if out.held.has(Admin) {
			top = Admin
		}
		d.grantedBy(r, top, max(want, Read))
		out.sayPattern(d, r)
		if out.public.has(top) {
			d.say("Public access (*)", r.from)
		}
		return
	}
	out.sayPattern(d, r)
	switch {
	case !out.applied:
		d.say("User not in access list", r.from)
	case out.by[need] == nil: // the rule names the user, for other rights
	case r.deny:
		d.disallowed(r)
	default:
		d.say(need.String()+" needs read", r.from)
		if reader := out.by[Read]; reader != nil && reader.deny {
			d.disallowed(reader)
		}
	}
}

func (d *Decision) disallowed(r *rule) {
	d.say("Disallowed in "+r.in.shown+" by rule "+strconv.Itoa(r.nth), r.from)
}
