package rulefile

import (
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/openmined/syftfs/perm"
)

// Project cuts a rule file down to what u may be told of it: the same patterns, order, terminal and limits, but of the
// users in the lists only the entries that reach u. Under the result u may do exactly what u may do under rs. Rules for
// others alone stay, with empty lists, because a rule of syft.pub.yaml that matches ends the search.
//
// What the result tells beside u's own rights: every pattern, with whatever names of people and folders stand in it; limits
// and terminal; how many rules there are and, in syftperm.yaml, which of them take rights away, but not which rights nor
// from whom; and whether an entry that reaches u is shared: "*", USER, or a glob, as written. It never holds the address of
// another user out of a list, nor comments. Under the result nobody is allowed more than under rs by syft.pub.yaml; by
// syftperm.yaml others may be, since rules that took rights from them are empty: it is for asking about u only.
//
// A broken file has an empty, broken projection.
func Project(rs perm.Ruleset, u perm.User) perm.Ruleset {
	out := rs
	out.Rules = nil
	if rs.Broken != nil {
		return out
	}
	for _, r := range rs.Rules {
		grants := map[perm.Level][]string{}
		for l, entries := range r.Grants {
			var kept []string
			for _, e := range entries {
				if Names(rs.Kind, e, u) && !slices.Contains(kept, e) {
					kept = append(kept, e)
				}
			}
			if len(kept) > 0 {
				grants[l] = kept
			}
		}
		r.Grants = grants
		out.Rules = append(out.Rules, r)
	}
	return out
}

// Names reports whether an entry of a list, in a file of that kind, reaches u.
func Names(kind perm.Kind, entry string, u perm.User) bool {
	switch {
	case entry == "*":
		return true
	case u == perm.Anonymous || u == "":
		return false
	case kind == perm.KindPub && entry == "USER":
		return true
	case kind == perm.KindPub && strings.ContainsAny(entry, "*?["):
		if perm.CheckUser(entry) != nil {
			return false
		}
		ok, err := doublestar.Match(entry, string(u))
		return ok && err == nil
	}
	return entry == string(u)
}
