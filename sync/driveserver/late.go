package driveserver

import "slices"

// pastItem is what an item was until a change; nil when it did not exist. The state keeps it as long as the longest lag that is set.
type pastItem struct {
	it    *item
	until int64 // by the real clock
	by    string
}

func (st *state) remember(old *item, at int64, by string, lag int64) {
	st.keepPast(old.ID, pastItem{it: old, until: at, by: by}, lag)
}

func (st *state) rememberBirth(id string, at int64, by string, lag int64) {
	st.keepPast(id, pastItem{until: at, by: by}, lag)
}

func (st *state) keepPast(id string, p pastItem, lag int64) {
	if lag <= 0 {
		clear(st.past)
		return
	}
	for k, all := range st.past {
		all = slices.DeleteFunc(all, func(q pastItem) bool { return q.until+lag < p.until })
		if len(all) == 0 {
			delete(st.past, k)
			continue
		}
		st.past[k] = all
	}
	st.past[id] = append(st.past[id], p)
}

// lateView is the state as it was at a time; changes by one account are seen at once.
type lateView struct {
	st   *state
	then int64
	own  string // "" for nobody
}

func (v *lateView) item(id string) *item {
	for _, p := range v.st.past[id] {
		if p.until > v.then && (v.own == "" || p.by != v.own) {
			return p.it
		}
	}
	return v.st.items[id]
}

func (v *lateView) kids(id string) []string {
	var all []string
	everything(v, v.st, func(k string) {
		if it := v.item(k); it != nil && it.Parent == id {
			all = append(all, k)
		}
	})
	return all
}

// everything calls fn with each id that the view may know.
func everything(v view, st *state, fn func(id string)) {
	for id := range st.items {
		fn(id)
	}
	if _, late := v.(*lateView); !late {
		return
	}
	for id := range st.past {
		if st.items[id] == nil {
			fn(id)
		}
	}
}

// Lag is how far lists are behind, in milliseconds, by what they ask for.
type Lag struct {
	Names   int64 `json:"names,omitempty"`   // name, fullText, properties, and queries without a folder
	Parents int64 `json:"parents,omitempty"` // lists of a folder; own changes show at once
	Shared  int64 `json:"shared,omitempty"`  // sharedWithMe
	Changes int64 `json:"changes,omitempty"` // the feed
}

func (sw Switches) longestLag() int64 { return max(sw.Lag.Names, sw.Lag.Parents, sw.Lag.Shared) }

type behind struct {
	behind int64
	own    string
}

// lagOf is how far a list with this query is behind for an account.
func (sw Switches) lagOf(n node, account string) behind {
	if sw.longestLag() == 0 {
		return behind{}
	}
	if has(n, func(n node) bool { f, ok := n.(fieldNode); return ok && f.field == "sharedWithMe" }) {
		return behind{behind: sw.Lag.Shared}
	}
	if _, ok := parentsOf(n); ok {
		named := has(n, func(n node) bool {
			f, ok := n.(fieldNode)
			_, props := n.(hasNode)
			return props || ok && (f.field == "name" || f.field == "fullText")
		})
		if !named {
			return behind{behind: sw.Lag.Parents, own: account}
		}
	}
	return behind{behind: sw.Lag.Names}
}
