package perm

import "strings"

// verdict is what the rules say about a path and a user, before a level is asked for. It holds everything that the reasons
// need, and nothing that differs between paths that are treated alike, so that decisions can be shared.
type verdict struct {
	reign    *reign
	rule     *rule            // the rule that matched; syftperm.yaml: the last that applied, or one that matched for others only
	held     bits             // syft.pub.yaml: the lists that name the user; syftperm.yaml: the bits that are set
	public   bits             // those of held that are there by "*"
	by       [Admin + 1]*rule // syftperm.yaml: the last rule that set or cleared each bit
	applied  bool             // syftperm.yaml: some rule was for this user
	ruleFile bool             // the path is a rule file: create and write need admin
	nearby   *file            // the rule file that speaks, if it is in the target's own folder, or in the target itself
}

// judge applies the rules.
func (q *question) judge() verdict {
	out := verdict{reign: q.reign, ruleFile: q.ruleFile, nearby: q.nearby}
	rel, v, last := q.path, &q.vars, q.reign.last()
	switch {
	case last == nil || last.broken != nil:
	case last.kind == KindPub:
		out.judgePub(last, inside(last.dir, rel), v)
	default:
		for _, f := range q.reign.files {
			out.judgePerm(f, inside(f.dir, rel), v)
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

func (out *verdict) judgePub(f *file, rel string, v *vars) {
	for _, r := range f.rules {
		if r.matcher.match(rel, v) {
			out.rule = r
			out.held = r.granted(v)
			out.public = r.public
			return
		}
	}
}

func (out *verdict) judgePerm(f *file, rel string, v *vars) {
	for _, r := range f.rules {
		mine := r.granted(v)
		if mine == 0 {
			if out.rule == nil && r.matcher.match(rel, v) {
				out.rule = r
			}
			continue
		}
		if !r.matcher.match(rel, v) {
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

// decider is the rule that an answer about want stands on, nil if there is none.
func (out *verdict) decider(want Level) *rule {
	if out.reign.kind() == KindPub || !out.applied {
		return out.rule
	}
	need := out.need(want)
	if out.reaches(need) && out.held.has(Admin) {
		need = Admin
	}
	if r := out.by[need]; r != nil {
		return r
	}
	return out.rule // it names the user, for other rights
}

// holding is the rule that gives the user what is held, nil if none is for the user.
func (out *verdict) holding() *rule {
	if level := out.level(); level != None {
		return out.decider(level)
	}
	if out.reign.kind() == KindPerm && !out.applied {
		return nil
	}
	return out.rule
}
