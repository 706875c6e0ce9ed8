package rulefile

import (
	"strconv"
	"strings"

	"github.com/openmined/syftfs/perm"
)

// clientFirst reports whether the Python client tries pattern p, that of rule i, before pattern q, that of rule j. It looks
// at templates, then at segments: those without wildcards, those with, fewer **, all; then at the order of the file.
func clientFirst(p string, i int, q string, j int) bool {
	a, b := clientRank(p), clientRank(q)
	for n := range a {
		if a[n] != b[n] {
			return a[n] > b[n]
		}
	}
	return i < j
}

func clientRank(p string) (rank [5]int) {
	if strings.Contains(p, "{{") {
		rank[0] = 1
	}
	for s := range strings.SplitSeq(p, "/") {
		switch {
		case s == "**":
			rank[3]--
		case strings.ContainsAny(s, "*?["):
			rank[2]++
		default:
			rank[1]++
		}
		rank[4]++
	}
	return rank
}

// witnesses finds paths that two rules of a file match, and asks perm whether they do.
type witnesses struct {
	shapes []shape
	index  *perm.Index
	work   *work
}

const whoever perm.User = "somebody@example.org"

func newWitnesses(rules []perm.Rule, left *work) *witnesses {
	w := &witnesses{work: left}
	for _, r := range rules {
		w.shapes = append(w.shapes, shapeOf(r.Pattern))
	}
	// Every rule has a folder of its own, in which it grants everything that it matches.
	w.index = perm.NewIndex(func(_ perm.User, dir string) ([]perm.Ruleset, error) {
		i, err := strconv.Atoi(dir)
		if err != nil || i < 0 || i >= len(rules) {
			return nil, nil
		}
		rule := perm.Rule{Pattern: rules[i].Pattern, Grants: map[perm.Level][]string{perm.Read: {"*"}}}
		return []perm.Ruleset{{Dir: dir, Kind: perm.KindPub, Rules: []perm.Rule{rule}}}, nil
	})
	return w
}

// find gives a path that both rules match. That there is none is not certain when it finds none.
func (w *witnesses) find(i, j int) (path string, ok bool) {
	names, ok := w.meetSegments(w.shapes[i].segments, w.shapes[j].segments)
	if !ok {
		return "", false
	}
	path = strings.Join(names, "/")
	return path, w.matches(i, path) && w.matches(j, path)
}

func (w *witnesses) matches(i int, path string) bool {
	d, err := w.index.Decide(perm.Request{User: whoever, Owner: "owner@example.org", Path: strconv.Itoa(i) + "/" + path, Want: perm.Read})
	return err == nil && d.Allowed
}

// meetSegments makes names that both lists of segments match, if they are simple enough. A ** at the end stands for one name
// at least, as it does for the Python client, whose wildcards match no dot in front either.
func (w *witnesses) meetSegments(p, q []segment) ([]string, bool) {
	if len(p) == 0 || len(q) == 0 {
		return nil, len(p) == len(q)
	}
	if p[0].unknown || q[0].unknown || !w.work.spend() {
		return nil, false
	}
	if !p[0].deep && q[0].deep {
		p, q = q, p
	}
	if !p[0].deep {
		name, ok := w.meetTokens(p[0].toks, q[0].toks)
		return w.named(name, ok, p[1:], q[1:])
	}
	if len(p) > 1 { // ** for no name
		if names, ok := w.meetSegments(p[1:], q); ok {
			return names, true
		}
	}
	name, ok := "x", true
	if !q[0].deep {
		name, ok = w.meetTokens([]token{{anyRun, "*"}}, q[0].toks)
	}
	if names, ok := w.named(name, ok, p[1:], q[1:]); ok {
		return names, true
	}
	if names, ok := w.named(name, ok, p, q[1:]); ok {
		return names, true
	}
	if q[0].deep {
		return w.named(name, ok, p[1:], q)
	}
	return nil, false
}

// named puts a name in front of what the rest of both gives.
func (w *witnesses) named(name string, ok bool, p, q []segment) ([]string, bool) {
	if !ok || strings.HasPrefix(name, ".") {
		return nil, false
	}
	names, ok := w.meetSegments(p, q)
	return append([]string{name}, names...), ok
}

// meetTokens makes a name that both match; whether a class holds the character that it makes is asked later.
func (w *witnesses) meetTokens(p, q []token) (string, bool) {
	name, ok := w.meetRuns(p, q)
	runs := len(p) > 0 && len(q) > 0 && p[0].kind == anyRun && q[0].kind == anyRun
	if runs && (name == "" || name[0] == '.') {
		name = "x" + name
	}
	return name, ok
}

func (w *witnesses) meetRuns(p, q []token) (string, bool) {
	if len(p) == 0 && len(q) == 0 {
		return "", true
	}
	if !w.work.spend() {
		return "", false
	}
	if len(p) == 0 || len(q) > 0 && p[0].kind != anyRun && q[0].kind == anyRun {
		p, q = q, p
	}
	if p[0].kind == anyRun {
		name, ok := w.meetRuns(p[1:], q)
		if ok || len(q) == 0 {
			return name, ok
		}
		rest, ok := w.meetRuns(p, q[1:])
		return q[0].sample() + rest, ok
	}
	if len(q) == 0 {
		return "", false
	}
	c, d := p[0], q[0]
	if c.kind != literal && c.kind != inserted {
		c, d = d, c
	}
	if c != d && (d.kind != anyChar || c.kind == inserted) && (d.kind != class || c.kind != literal) {
		return "", false
	}
	rest, ok := w.meetRuns(p[1:], q[1:])
	return c.sample() + rest, ok
}

// sample is a text that the token matches, as far as that is easy to tell.
func (t token) sample() string {
	switch t.kind {
	case literal:
		return t.text
	case anyChar:
		return "x"
	case class:
		if in := strings.Trim(t.text, "[]"); in[0] != '!' && in[0] != '^' {
			return in[:1]
		}
		return "~"
	case inserted:
		return string(whoever)
	}
	return ""
}
