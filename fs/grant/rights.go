package grant

import "github.com/openmined/syftfs/perm"

// rights are what somebody may do with a file or folder.
type rights struct {
	level   perm.Level
	creates bool        // false beside write only in syftperm.yaml, where the rights do not include each other
	limits  perm.Limits // of creating and writing
}

// exceeds reports whether r allows anything that o does not.
func (r rights) exceeds(o rights) bool {
	return r.level > o.level || r.creates && !o.creates || r.creates && looser(r.limits, o.limits) || r.level >= perm.Write && looser(r.limits, o.limits)
}

// looser reports whether limits let through what others stop.
func looser(a, b perm.Limits) bool {
	more := func(a, b int64) bool { return b > 0 && (a == 0 || a > b) }
	return more(a.MaxFileSize, b.MaxFileSize) || more(a.MaxFiles, b.MaxFiles) || !a.NoDirs && b.NoDirs || a.AllowSymlinks && !b.AllowSymlinks
}

// onRuleFile are the rights on a rule file where r are those on what lies beside it: to create and to write take admin.
func (r rights) onRuleFile() rights {
	if r.level == perm.Admin || r.level == perm.None {
		return r
	}
	return rights{level: perm.Read}
}

// note tells what changes when the level does not.
func note(was, is rights) string {
	switch {
	case was.level != is.level || was == is:
		return ""
	case is.creates && !was.creates:
		return "may create, too"
	case !is.creates && was.creates:
		return "may no longer create"
	}
	return "other limits"
}

// has reports whether the level is allowed.
func (r rights) has(l perm.Level) bool {
	if l == perm.Create {
		return r.creates
	}
	return r.level >= l
}

// upTo gives the levels that are allowed, none above top.
func (r rights) upTo(top perm.Level) (levels []perm.Level) {
	for l := perm.Read; l <= top; l++ {
		if r.has(l) {
			levels = append(levels, l)
		}
	}
	return levels
}
