package guard

import (
	"context"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// audience is how much of an explanation about a path somebody may be told: reasons reveal patterns and names.
type audience uint8

const (
	toldNothing audience = iota // "No permission found", whether or not anything is there
	toldOwn                     // why they themselves may or may not
	toldAll                     // everything, about anybody
)

// noPermission is the only reason that is told about a path which the user cannot see.
const noPermission = "No permission found"

// audience is the only place that says who may see an explanation: the owner and the admins of a path everything, others what
// is about themselves, of paths that exist for them. own is a decision for a on p, whatever it was asked for.
func (v *View) audience(a actor, p datasite.Path, own perm.Decision) (audience, error) {
	switch {
	case a.owner, own.Owner:
		return toldAll, nil
	case p.Owner == v.g.cfg.Owner && own.Level == perm.Admin:
		return toldAll, nil
	case own.Level != perm.None:
		return toldOwn, nil
	case !own.Request.IsDir || p.Owner != v.g.cfg.Owner:
		return toldNothing, nil
	}
	if ok, err := v.below(a, p); err != nil || !ok {
		return toldNothing, err
	}
	return toldOwn, nil
}

// withheld is d without anything that it would tell.
func withheld(r perm.Request) perm.Decision {
	return perm.Decision{Request: r, Steps: []perm.Step{{Text: noPermission}}}
}

// question is one question about p, by a.
type question struct {
	a    actor
	p    datasite.Path
	dir  bool // p is a folder that exists for a; what is hidden is answered as what is not there
	told audience
}

// ask begins a question of the view's identity about p. The caller drops the locks.
func (v *View) ask(op string, p datasite.Path) (q question, unlock func(), err error) {
	a, err := v.actor(op, p)
	if err != nil {
		return question{}, nil, err
	}
	unlock = v.lockFor(a, p)
	if q, err = v.asked(a, p); err != nil {
		unlock()
		return question{}, nil, err
	}
	return q, unlock, nil
}

func (v *View) asked(a actor, p datasite.Path) (question, error) {
	q := question{a: a, p: p, dir: p.Rel == ""}
	e, there, err := v.there(a, p)
	if err != nil {
		return q, err
	}
	q.dir = q.dir || there == seen && e.Mode.IsDir()
	own, err := v.g.decide(a.id.Subject, p, q.dir, perm.Read)
	if err != nil {
		return q, err
	}
	q.told, err = v.audience(a, p, own)
	return q, err
}

// about refuses a question about somebody else to whoever may ask about themselves only.
func (q question) about(op string, u perm.User) error {
	if q.told == toldAll || u == q.a.id.Subject {
		return nil
	}
	return never(op, q.p, 0, "only the owner and admins of a path may ask about somebody else")
}

// Explain decides for user u what the mount would decide, with the reasons. The owner and admins of p may ask about
// anybody, others about themselves and about what exists for them; of anything else they are told that no permission was found.
func (v *View) Explain(ctx context.Context, u perm.User, p datasite.Path, want perm.Level) (perm.Decision, error) {
	const op = "explain"
	q, unlock, err := v.ask(op, p)
	if err != nil {
		return perm.Decision{}, err
	}
	defer unlock()
	if err := q.about(op, u); err != nil {
		return perm.Decision{}, err
	}
	d, err := v.g.decide(u, p, q.dir, want)
	switch {
	case err != nil:
	case q.told == toldNothing:
		d = withheld(d.Request)
	default:
		d = v.g.arrived(p, d)
	}
	return d, err
}

// Trace is Explain with everything that was looked at. Whoever may ask about themselves only is told of the rules that speak for
// them, and of the others of a rule file that they may read.
func (v *View) Trace(ctx context.Context, u perm.User, p datasite.Path, want perm.Level) (perm.Trace, error) {
	const op = "explain"
	q, unlock, err := v.ask(op, p)
	if err != nil {
		return perm.Trace{}, err
	}
	defer unlock()
	if err := q.about(op, u); err != nil {
		return perm.Trace{}, err
	}
	t, err := v.g.trace(u, p, q.dir, want)
	switch {
	case err != nil || q.told == toldAll:
		return t, err
	case q.told == toldNothing:
		return perm.Trace{Decision: withheld(t.Decision.Request)}, nil
	}
	return v.redact(q.a, t), nil
}

// redact leaves out of a trace what is in rule files that a may not read, but for the rules that decide about a.
func (v *View) redact(a actor, t perm.Trace) perm.Trace {
	readable := map[string]bool{}
	reads := func(s perm.Source) bool {
		ok, known := readable[s.File]
		if !known {
			p, err := datasite.Parse(strings.TrimPrefix(s.File, "/"))
			if err == nil {
				var d perm.Decision
				d, err = v.g.decide(a.id.Subject, p, false, perm.Read)
				ok = err == nil && d.Allowed
			}
			readable[s.File] = ok
		}
		return ok
	}
	out := perm.Trace{Decision: t.Decision}
	speaks := map[string]bool{}
	for _, r := range t.Rules {
		switch {
		case reads(r.From):
			out.Rules = append(out.Rules, r)
		case r.Decides:
			r.Grants = nil
			out.Rules = append(out.Rules, r)
		default:
			continue
		}
		speaks[r.From.File] = true
	}
	for _, f := range t.Files {
		if speaks[f.From.File] || f.From.File == t.Decision.By.File || reads(f.From) {
			out.Files = append(out.Files, f)
		}
	}
	return out
}

// Holders tells whom the rules name for p, and what they hold there: to the owner and the admins of p.
func (v *View) Holders(ctx context.Context, p datasite.Path) ([]perm.Holder, error) {
	const op = "explain"
	q, unlock, err := v.ask(op, p)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if q.told != toldAll {
		return nil, never(op, p, 0, "only the owner and admins of a path may ask who holds what there")
	}
	return v.g.holders(p, q.dir)
}

// Visible reports whether p exists for the view's identity.
func (v *View) Visible(ctx context.Context, p datasite.Path) (bool, error) {
	a, err := v.actor("look", p)
	if err != nil {
		return false, err
	}
	defer v.lockFor(a, p)()
	_, _, err = v.look("look", a, p)
	if absent(err) {
		return false, nil
	}
	return err == nil, err
}
