package driveserver

import (
	"encoding/json"
	"fmt"
	"strings"
)

// role is what somebody may do with an item; higher includes lower.
type role int

const (
	roleNone role = iota
	roleReader
	roleCommenter
	roleWriter
	roleOwner
)

var roleNames = [...]string{"none", "reader", "commenter", "writer", "owner"}

func (r role) String() string { return roleNames[r] }

func parseRole(s string) (role, bool) {
	for i, n := range roleNames {
		if i > 0 && n == s {
			return role(i), true
		}
	}
	return roleNone, false
}

func (r role) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }

func (r *role) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	got, ok := parseRole(s)
	if !ok {
		return fmt.Errorf("unknown role %q", s)
	}
	*r = got
	return nil
}

// view is a consistent sight of all items: the state, a transaction on it, or the state as it was some seconds ago.
type view interface {
	item(id string) *item // nil when there is none
	kids(id string) []string
}

// maxDepth is the number of folders that may lie in each other. Walks upwards stop there, so that even a damaged store ends them.
const maxDepth = 100

// sight is how one account sees the items of a view. It remembers the roles on folders, so it serves one request only.
type sight struct {
	view view
	who  *account
	now  int64

	link map[string]role // effective roles on folders, those of links included
	own  map[string]role // without links
	gone map[string]bool // whether a folder is in the trash
}

func newSight(v view, who *account, now int64) *sight {
	return &sight{view: v, who: who, now: now, link: map[string]role{}, own: map[string]role{}, gone: map[string]bool{}}
}

// role is the effective role by id: what was granted to the account, directly or from above, or to everybody who has the link.
func (x *sight) role(it *item) role { return x.effective(it, x.link, true, 0) }

// listed is the role without links: what decides over lists and the feed.
func (x *sight) listed(it *item) role { return x.effective(it, x.own, false, 0) }

func (x *sight) effective(it *item, memo map[string]role, links bool, depth int) role {
	if it == nil || depth > maxDepth {
		return roleNone
	}
	if r, ok := memo[it.ID]; ok {
		return r
	}
	r := roleNone
	if it.Owner == x.who.ID {
		r = roleOwner
	}
	for _, g := range it.Grants {
		if x.holds(g, links) {
			r = max(r, g.Role)
		}
	}
	if it.Parent != "" && r < roleWriter {
		r = max(r, x.above(it, memo, links, depth))
	}
	if it.folder() {
		memo[it.ID] = r
	}
	return r
}

// above is what comes from the parent, where the owner of a folder counts as a writer.
func (x *sight) above(it *item, memo map[string]role, links bool, depth int) role {
	if it.Limited {
		for p, n := x.view.item(it.Parent), 0; p != nil && n < maxDepth; p, n = x.view.item(p.Parent), n+1 {
			if p.Owner == x.who.ID {
				return roleWriter
			}
		}
		return roleNone
	}
	return min(x.effective(x.view.item(it.Parent), memo, links, depth+1), roleWriter)
}

// holds tells whether a grant is for the account.
func (x *sight) holds(g grant, links bool) bool {
	if g.Expires != 0 && g.Expires <= x.now {
		return false
	}
	switch g.Type {
	case "user":
		return g.ID == x.who.ID
	case "domain":
		return links && strings.HasSuffix(strings.ToLower(x.who.Email), "@"+g.Domain)
	case "anyone":
		return links
	}
	return false
}

// trashed tells whether the item or a folder above it was put into the trash.
func (x *sight) trashed(it *item) bool { return x.binned(it, 0) }

func (x *sight) binned(it *item, depth int) bool {
	if it == nil || depth > maxDepth {
		return false
	}
	if t, ok := x.gone[it.ID]; ok {
		return t
	}
	t := it.Trashed || it.Parent != "" && x.binned(x.view.item(it.Parent), depth+1)
	if it.folder() {
		x.gone[it.ID] = t
	}
	return t
}

// parentSeen is the parent if the account can see it.
func (x *sight) parentSeen(it *item) *item {
	p := x.view.item(it.Parent)
	if p == nil || x.role(p) < roleReader {
		return nil
	}
	return p
}

// seers are the accounts for which the item is in lists: its owner, those with a grant on it, and those of the folders above.
func seers(v view, it *item, now int64) map[string]bool {
	all := map[string]bool{}
	grants := true
	for n := 0; it != nil && n <= maxDepth; n++ {
		all[it.Owner] = true
		for _, g := range it.Grants {
			if grants && g.Type == "user" && (g.Expires == 0 || g.Expires > now) {
				all[g.ID] = true
			}
		}
		grants = grants && !it.Limited
		it = v.item(it.Parent)
	}
	return all
}

// descendants are the ids of everything below an item, folders before what they hold.
func descendants(v view, id string) []string {
	var all []string
	next := v.kids(id)
	for level := 0; len(next) > 0 && level <= maxDepth; level++ {
		all = append(all, next...)
		var deeper []string
		for _, k := range next {
			deeper = append(deeper, v.kids(k)...)
		}
		next = deeper
	}
	return all
}

// depth is the number of folders above an item.
func depth(v view, it *item) int {
	n := 0
	for p := v.item(it.Parent); p != nil && n <= maxDepth; p = v.item(p.Parent) {
		n++
	}
	return n
}
