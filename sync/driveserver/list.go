package driveserver

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// sortKeys makes a text for each key of orderBy that sorts as the key does.
var sortKeys = map[string]func(*call, *item) string{
	"createdTime":      func(_ *call, it *item) string { return sortable(it.Created) },
	"modifiedTime":     func(_ *call, it *item) string { return sortable(it.Modified) },
	"modifiedByMeTime": func(c *call, it *item) string { return sortable(it.Users[c.who.ID].Modified) },
	"viewedByMeTime":   func(c *call, it *item) string { return sortable(it.Users[c.who.ID].Viewed) },
	"recency":          func(c *call, it *item) string { return sortable(max(it.Modified, it.Users[c.who.ID].Viewed)) },
	"sharedWithMeTime": func(c *call, it *item) string { return sortable(sharedWith(it, c.who.account).At) },
	"quotaBytesUsed":   func(_ *call, it *item) string { return sortable(it.size()) },
	"name":             func(_ *call, it *item) string { return strings.ToLower(it.Name) },
	"name_natural":     func(_ *call, it *item) string { return natural(it.Name) },
	"folder":           func(_ *call, it *item) string { return first(it.folder()) },
	"starred":          func(c *call, it *item) string { return first(it.Users[c.who.ID].Starred) },
}

func sortable(n int64) string { return fmt.Sprintf("%020d", uint64(n)+1<<63) }

func first(yes bool) string {
	if yes {
		return "0"
	}
	return "1"
}

// natural writes runs of digits with their length in front, so that 9 comes before 10.
func natural(name string) string {
	var b strings.Builder
	rest := strings.ToLower(name)
	for rest != "" {
		n := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if n < 0 {
			n = len(rest)
		}
		if n > 0 {
			digits := strings.TrimLeft(rest[:n], "0")
			fmt.Fprintf(&b, "0%06d%s", len(digits), digits)
			rest = rest[n:]
			continue
		}
		n = strings.IndexFunc(rest, func(r rune) bool { return r >= '0' && r <= '9' })
		if n < 0 {
			n = len(rest)
		}
		b.WriteString(rest[:n])
		rest = rest[n:]
	}
	return b.String()
}

// order is a parsed orderBy.
type order []struct {
	key  func(*call, *item) string
	down bool
}

func parseOrder(s string) (order, error) {
	var o order
	for one := range strings.SplitSeq(s, ",") {
		f := strings.Fields(one)
		if len(f) == 0 {
			continue
		}
		key, ok := sortKeys[f[0]]
		if !ok || len(f) > 2 || len(f) == 2 && f[1] != "desc" {
			return nil, errInvalid("orderBy")
		}
		o = append(o, struct {
			key  func(*call, *item) string
			down bool
		}{key, len(f) == 2})
	}
	return o, nil
}

// row is an item in a list, with what it is sorted by.
type row struct {
	it   *item
	keys []string
}

func (o order) compare(a, b row) int {
	for i := range a.keys {
		n := cmp.Compare(a.keys[i], b.keys[i])
		if i < len(o) && o[i].down {
			n = -n
		}
		if n != 0 {
			return n
		}
	}
	return cmp.Compare(a.it.ID, b.it.ID)
}

// row computes the sort keys. Without an order the newest change comes first; what changed since the first page of the list comes last,
// so that a change between two pages hides nothing.
func (o order) row(c *call, it *item, since int64) row {
	r := row{it: it}
	for _, k := range o {
		r.keys = append(r.keys, k.key(c, it))
	}
	if len(o) == 0 {
		if it.Seq <= since {
			r.keys = []string{sortable(-it.Seq)}
		} else {
			r.keys = []string{sortable(it.Seq)}
		}
	}
	return r
}

func (c *call) filesList() error {
	n, o, err := c.listParameters()
	if err != nil {
		return err
	}
	size, err := c.pageSize(100, 1000)
	if err != nil {
		return err
	}
	at, more, err := c.cursor("files")
	if err != nil {
		return err
	}
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	if !more {
		at.Seq = c.s.st.seq
	}
	rows, x, err := c.matches(n, o, at.Seq)
	if err != nil {
		return err
	}
	slices.SortFunc(rows, o.compare)
	if at.ID != "" {
		last := row{it: &item{ID: at.ID}, keys: at.Keys}
		rows = rows[lowest(len(rows), func(i int) bool { return o.compare(rows[i], last) > 0 }):]
	}
	if c.fault.emptiesList(n) {
		rows = nil
	}
	if size = c.fault.shorten(size); size < len(rows) {
		rows = rows[:size]
		more = true
	} else {
		more = false
	}
	out := map[string]any{"kind": "drive#fileList", "incompleteSearch": c.fault.incomplete()}
	if more {
		next := cursor{Seq: at.Seq, Pages: at.Pages + 1, Keys: at.Keys, ID: at.ID}
		if len(rows) > 0 {
			last := rows[len(rows)-1]
			next.Keys, next.ID = last.keys, last.it.ID
		}
		out["nextPageToken"] = c.pageToken("files", next)
	}
	files := make([]any, 0, len(rows))
	if below, ok := c.fields.wants("files"); ok {
		for _, r := range rows {
			files = append(files, c.file(x, r.it, below))
		}
	}
	out["files"] = files
	return c.answer(out)
}

// lowest is the first index for which fn is true, n if there is none.
func lowest(n int, fn func(int) bool) int {
	lo, hi := 0, n
	for lo < hi {
		if mid := (lo + hi) / 2; fn(mid) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

func (c *call) listParameters() (node, order, error) {
	n, err := parseQuery(c.q.Get("q"))
	if err != nil {
		return nil, nil, errInvalid("q")
	}
	o, err := parseOrder(c.q.Get("orderBy"))
	if err != nil {
		return nil, nil, err
	}
	if len(o) > 0 && has(n, func(n node) bool { f, ok := n.(fieldNode); return ok && f.field == "fullText" }) {
		return nil, nil, &apiError{Code: 400, Reason: "badRequest", Message: "Sorting is not supported for queries with fullText terms. Results are always in descending relevance order.", Location: "orderBy"}
	}
	switch c.q.Get("corpora") {
	case "", "user", "domain", "allDrives":
	case "drive":
		if c.q.Get("driveId") == "" {
			return nil, nil, errRequired("driveId")
		}
		return nil, nil, &apiError{Code: 404, Reason: "notFound", Message: "Shared drive not found: " + clip(c.q.Get("driveId")), Location: "driveId"}
	default:
		return nil, nil, errInvalid("corpora")
	}
	if c.flag("includeItemsFromAllDrives", false) && !c.flag("supportsAllDrives", false) && !c.flag("supportsTeamDrives", false) {
		return nil, nil, errReason(403, "teamDrivesNotSupported", "includeItemsFromAllDrives requires supportsAllDrives.")
	}
	for _, s := range idList(c.q.Get("spaces")) {
		if s != spaceDrive && s != spaceAppData {
			return nil, nil, errInvalid("spaces")
		}
	}
	return n, o, nil
}

// inSpaces tells whether an item is in the spaces that the request asks for.
func (c *call) inSpaces(it *item) bool {
	spaces := idList(c.q.Get("spaces"))
	if len(spaces) == 0 {
		return it.Space == spaceDrive
	}
	return slices.Contains(spaces, it.Space)
}

// matches are the items that the query finds and the caller may see in lists.
func (c *call) matches(n node, o order, since int64) ([]row, *sight, error) {
	sw := c.s.faults.switches()
	var v view = c.s.st
	if lag := sw.lagOf(n, c.who.ID); lag.behind > 0 {
		v = &lateView{st: c.s.st, then: millis(c.s.cfg.Now()) - lag.behind, own: lag.own}
	}
	x := c.sight(v)
	m := &matcher{c: c, x: x, sw: sw}
	var rows []row
	take := func(id string) {
		it := v.item(id)
		if it == nil || it.Root || !c.inSpaces(it) || !c.who.admits(it) || x.listed(it) < roleReader {
			return
		}
		if n == nil || n.match(m, it) {
			rows = append(rows, o.row(c, it, since))
		}
	}
	parents, within := parentsOf(n)
	if !within {
		everything(v, c.s.st, take)
		return rows, x, nil
	}
	if len(parents) == 1 && !sw.EmptyForUnknownParent {
		if _, err := c.find(x, parents[0]); err != nil {
			return nil, nil, errNotFound("")
		}
	}
	slices.Sort(parents)
	for _, p := range slices.Compact(parents) {
		for _, id := range v.kids(c.alias(p)) {
			take(id)
		}
	}
	return rows, x, nil
}
