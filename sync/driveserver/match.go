package driveserver

import (
	"io"
	"slices"
	"strings"
	"unicode"
)

// matcher evaluates a query for one caller.
type matcher struct {
	c  *call
	x  *sight
	sw Switches
}

func (n andNode) match(m *matcher, it *item) bool {
	return !slices.ContainsFunc(n, func(one node) bool { return !one.match(m, it) })
}

func (n orNode) match(m *matcher, it *item) bool {
	return slices.ContainsFunc(n, func(one node) bool { return one.match(m, it) })
}

func (n notNode) match(m *matcher, it *item) bool { return !n.node.match(m, it) }

func (n fieldNode) match(m *matcher, it *item) bool {
	switch n.op {
	case "contains":
		return m.contains(n, it)
	case "!=":
		return !m.equal(n, it)
	}
	return m.equal(n, it)
}

func (m *matcher) equal(n fieldNode, it *item) bool {
	truth := func(b bool) bool { return b == (n.value == "true") }
	switch n.field {
	case "name":
		if m.sw.ExactNames {
			return it.Name == n.value
		}
		return strings.EqualFold(it.Name, n.value)
	case "mimeType":
		return it.Mime == n.value
	case "trashed":
		return truth(m.x.trashed(it))
	case "starred":
		return truth(it.Users[m.c.who.ID].Starred)
	case "sharedWithMe":
		return truth(sharedWith(it, m.c.who.account).ID != "")
	case "shortcutDetails.targetId":
		return it.Target == n.value
	case "visibility":
		return m.visibility(it) == n.value
	}
	return false
}

// visibility is the widest sharing of an item, as the query knows it.
func (m *matcher) visibility(it *item) string {
	widest := len(visibilities) - 1 // limited
	for _, p := range m.c.permissionsOf(m.x, it) {
		at := widest
		switch {
		case p.Type == "anyone" && p.Discover:
			at = 0
		case p.Type == "anyone":
			at = 1
		case p.Type == "domain" && p.Discover:
			at = 2
		case p.Type == "domain":
			at = 3
		}
		widest = min(widest, at)
	}
	return visibilities[widest]
}

func (m *matcher) contains(n fieldNode, it *item) bool {
	switch n.field {
	case "name":
		return prefixMatch(words(it.Name), words(n.value), m.sw.StrictContains)
	case "mimeType":
		return strings.HasPrefix(it.Mime, n.value)
	case "fullText":
		text := words(it.Name + " " + it.Description + " " + m.text(it))
		phrase := strings.HasPrefix(n.value, `"`) && strings.HasSuffix(n.value, `"`) && len(n.value) > 1
		want := words(n.value)
		if phrase {
			return slices.ContainsFunc(starts(len(text), len(want)), func(i int) bool { return slices.Equal(text[i:i+len(want)], want) })
		}
		return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(text, w) })
	}
	return false
}

const maxSearched = 256 << 10

// text is the beginning of the content of a text file, for searching.
func (m *matcher) text(it *item) string {
	if it.Content == nil || !strings.HasPrefix(it.Mime, "text/") {
		return ""
	}
	f, err := m.c.s.blobs.open(it.Content.SHA256)
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // only read
	raw, err := io.ReadAll(io.LimitReader(f, maxSearched))
	if err != nil {
		return ""
	}
	return string(raw)
}

// words splits at everything that is neither a letter nor a digit, in lower case.
func words(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
}

// prefixMatch is how `name contains` works: each word wanted is the beginning of a word. In strict mode the words must follow each other,
// and only the last may be a beginning.
func prefixMatch(have, want []string, strict bool) bool {
	if !strict {
		return !slices.ContainsFunc(want, func(w string) bool {
			return !slices.ContainsFunc(have, func(h string) bool { return strings.HasPrefix(h, w) })
		})
	}
	if len(want) == 0 {
		return true
	}
	last := len(want) - 1
	return slices.ContainsFunc(starts(len(have), len(want)), func(i int) bool {
		return slices.Equal(have[i:i+last], want[:last]) && strings.HasPrefix(have[i+last], want[last])
	})
}

// starts are the places where n words can begin among all.
func starts(all, n int) []int {
	var out []int
	for i := 0; i+n <= all; i++ {
		out = append(out, i)
	}
	return out
}

func (n timeNode) match(m *matcher, it *item) bool {
	at := it.Modified
	switch n.field {
	case "createdTime":
		at = it.Created
	case "viewedByMeTime":
		at = it.Users[m.c.who.ID].Viewed
	}
	switch n.op {
	case "<":
		return at < n.at
	case "<=":
		return at <= n.at
	case ">":
		return at > n.at
	case ">=":
		return at >= n.at
	case "!=":
		return at != n.at
	}
	return at == n.at
}

func (n inNode) match(m *matcher, it *item) bool {
	if n.collection == "parents" {
		return it.Parent != "" && it.Parent == m.c.alias(n.value) && m.x.parentSeen(it) != nil
	}
	who := m.c.who.account
	if n.value != "me" {
		if who = m.c.s.st.byMail(n.value); who == nil {
			return false
		}
	}
	switch n.collection {
	case "owners":
		return it.Owner == who.ID
	case "writers":
		return newSight(m.x.view, who, m.x.now).listed(it) >= roleWriter
	case "readers":
		return newSight(m.x.view, who, m.x.now).listed(it) >= roleReader
	}
	return false
}

func (n hasNode) match(m *matcher, it *item) bool {
	from := it.Properties
	if n.field == "appProperties" {
		from = it.AppProperties[m.c.who.client]
	}
	v, ok := from[n.key]
	return ok && v == n.value
}

// parentsOf are the folders of which a match must lie in one; ok is false when the query does not say.
func parentsOf(n node) (ids []string, ok bool) {
	switch n := n.(type) {
	case inNode:
		if n.collection == "parents" {
			return []string{n.value}, true
		}
	case andNode:
		for _, one := range n {
			if ids, ok := parentsOf(one); ok {
				return ids, true
			}
		}
	case orNode:
		for _, one := range n {
			some, ok := parentsOf(one)
			if !ok {
				return nil, false
			}
			ids = append(ids, some...)
		}
		return ids, true
	}
	return nil, false
}

// has tells whether a query has a part for which fn is true.
func has(n node, fn func(node) bool) bool {
	if n == nil {
		return false
	}
	if fn(n) {
		return true
	}
	deeper := func(one node) bool { return has(one, fn) }
	switch n := n.(type) {
	case andNode:
		return slices.ContainsFunc(n, deeper)
	case orNode:
		return slices.ContainsFunc(n, deeper)
	case notNode:
		return has(n.node, fn)
	}
	return false
}
