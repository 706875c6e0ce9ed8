package perm

import "strings"

// verdict is what the rules say about a path and a user, before a level is asked for.
type verdict struct {
	reign    *reign
	rule     *rule            // the rule that matched; syftperm.yaml: the last that applied, or one that matched for others only
	held     bits             // syft.pub.yaml: the lists that name the user; syftperm.yaml: the bits that are set
	public   bits             // those of held that are there by "*"
	by       [Admin + 1]*rule // syftperm.yaml: the last rule that set or cleared each bit
	applied  bool             // syftperm.yaml: some rule was for this user
	ruleFile bool             // the path is a rule file: create and write need admin
	nearby   *file            // the rule file that governs, if it is in the target's own folder, or in the target itself
}

// judge applies the rules.
func (q *question) judge() verdict {
	out := verdict{reign: q.reign, ruleFile: q.ruleFile, nearby: q.nearby}
	last := q.reign.last()
	switch {
	case last == nil || last.broken != nil:
	case last.kind == KindPub:
		if r := last.first(inside(last.dir, q.path), &q.vars); r != nil {
			out.rule, out.held, out.public = r, r.granted(last.who(q.vars.user), &q.vars), r.public
		}
	default:
		for _, f := range q.reign.files {
			out.apply(f, inside(f.dir, q.path), &q.vars)
		}
	}
	return out
}

// inside gives rel relative to dir, which holds it or is it.
func inside(dir, rel string) string {
	if dir == "" {
		return rel
	}
	return strings.TrimPrefix(rel[len(dir):], "/")
}

// apply adds what the rules of a syftperm.yaml give and take away.
func (out *verdict) apply(f *file, rel string, v *vars) {
	who, k := f.who(v.user), knock(rel)
	for i, r := range f.rules {
		if !f.covers(i, k, rel, v) {
			continue
		}
		mine := r.granted(who, v)
		if mine == 0 {
			if out.rule == nil {
				out.rule = r
			}
			continue
		}
		out.rule, out.applied = r, true
		for l := Read; l <= Admin; l++ {
			if mine.has(l) {
				out.by[l] = r
			}
		}
		out.public &^= mine
		if r.deny {
			out.held &^= mine
			continue
		}
		out.held |= mine
		out.public |= mine & r.public
	}
}

// need is the level that must be held for want on this path.
func (out *verdict) need(want Level) Level {
	if out.ruleFile && (want == Create || want == Write) {
		return Admin
	}
	return max(want, Read)
}

// reaches reports whether the user holds the level l, apart from what a rule file asks in addition.
func (out *verdict) reaches(l Level) bool {
	if out.reign.kind() == KindPerm {
		return out.held.has(Admin) || out.held.has(l) && (out.held.has(Read) || l == Admin)
	}
	return out.held.highest() >= l
}

// level is the highest level held in effect.
func (out *verdict) level() Level {
	for l := Admin; l >= Read; l-- {
		if out.reaches(out.need(l)) {
			return l
		}
	}
	return None
}

// find tells what the verdict comes to for want.
func (out *verdict) find(want Level) finding {
	f := finding{gov: out.reign.last(), rule: out.rule, want: want, ruleFile: out.ruleFile}
	switch {
	case f.gov == nil:
		f.cause = noFile
	case f.gov.broken != nil:
		f.cause = unread
	case out.rule == nil:
		f.cause = noMatch
	case f.gov.kind == KindPub:
		f.level = out.level()
		out.findPub(&f)
	default:
		f.level = out.level()
		out.findPerm(&f)
	}
	f.near = f.rule != nil && f.rule.in == out.nearby
	return f
}

func (out *verdict) findPub(f *finding) {
	need := out.need(f.want)
	switch top := out.held.highest(); {
	case top >= need:
		f.top = top
		f.public = out.public.highest() >= need
	case top == None:
		f.cause = notListed
	default:
		f.cause = tooLow
	}
}

func (out *verdict) findPerm(f *finding) {
	need := out.need(f.want)
	switch {
	case !out.applied:
		f.cause = notListed
	case out.reaches(need):
		f.top = need
		if out.held.has(Admin) {
			f.top = Admin
		}
		f.rule = out.by[f.top]
		f.public = out.public.has(f.top)
	case out.by[need] == nil:
		f.cause = tooLow
	case out.by[need].deny:
		f.rule, f.cause = out.by[need], disallowed
	default:
		f.rule, f.cause = out.by[need], needsRead
		f.reader = out.by[Read] // if there is one, it took that right away
	}
}

// holding is the rule that gives what is held, or takes it away; nil if none is for the user.
func (out *verdict) holding() *rule {
	if level := out.level(); level != None {
		f := out.find(level)
		return f.rule
	}
	if out.reign.kind() == KindPerm && !out.applied {
		return nil
	}
	return out.rule
}
