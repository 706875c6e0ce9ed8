package driveserver

import (
	"slices"
	"strconv"
)

func (c *call) startPageToken() error {
	c.s.mu.RLock()
	n := len(c.s.st.feeds[c.who.ID])
	c.s.mu.RUnlock()
	return c.answer(map[string]any{"kind": "drive#startPageToken", "startPageToken": strconv.Itoa(n + 1)})
}

// changesList is the feed of the caller from a position on. What an entry shows is the item as it is now; several entries of an item
// within a page are one, the newest.
func (c *call) changesList() error {
	if c.q.Get("pageToken") == "" {
		return errRequired("pageToken")
	}
	size, err := c.pageSize(100, 1000)
	if err != nil {
		return err
	}
	size = c.fault.shorten(size)
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	x := c.sight(c.s.st)
	feed := c.s.st.feeds[c.who.ID]
	pos, err := strconv.Atoi(c.q.Get("pageToken"))
	if err != nil || pos < 1 || pos > len(feed)+1 {
		return errInvalid("pageToken")
	}
	feed = c.s.arrived(feed, c.who.ID)
	end, newest := pos-1, map[string]int{}
	for ; end < len(feed) && len(newest) < size; end++ {
		newest[feed[end].Item] = end
	}
	var changes []any
	for i := pos - 1; i < end; i++ {
		e := feed[i]
		if newest[e.Item] != i && !c.s.faults.switches().EachChange {
			continue
		}
		if change := c.changeEntry(x, e); change != nil {
			changes = append(changes, change)
		}
	}
	if changes == nil {
		changes = []any{}
	}
	changes = c.fault.disturb(changes)
	out := map[string]any{"kind": "drive#changeList", "changes": changes}
	if end < len(feed) {
		out["nextPageToken"] = strconv.Itoa(end + 1)
	} else {
		out["newStartPageToken"] = strconv.Itoa(max(end, pos-1) + 1)
	}
	return c.answer(out)
}

// arrived is the part of a feed that a late feed shows already.
func (s *Server) arrived(feed []entry, account string) []entry {
	lag := s.faults.switches().Lag.Changes
	if lag <= 0 {
		return feed
	}
	then := millis(s.cfg.Now()) - lag
	n := slices.IndexFunc(feed, func(e entry) bool { return e.Real > then })
	if n < 0 {
		return feed
	}
	return feed[:n]
}

// changeEntry is a Change resource, nil when the parameters hide it.
func (c *call) changeEntry(x *sight, e entry) map[string]any {
	it := x.view.item(e.Item)
	out := map[string]any{"kind": "drive#change", "type": "file", "changeType": "file", "time": stamp(e.At), "fileId": e.Item, "removed": false}
	if it == nil || x.listed(it) < roleReader || !c.who.admits(it) {
		if !c.flag("includeRemoved", true) {
			return nil
		}
		out["removed"] = true
		return out
	}
	if !c.inSpaces(it) || c.flag("restrictToMyDrive", false) && !c.below(x.view, it, c.who.Root) {
		return nil
	}
	below, _ := c.fields.wants("changes")
	if m, ok := below.wants("file"); ok {
		out["file"] = c.file(x, it, m)
	}
	return out
}

func (c *call) below(v view, it *item, root string) bool {
	for n := 0; it != nil && n <= maxDepth; n++ {
		if it.ID == root {
			return true
		}
		it = v.item(it.Parent)
	}
	return false
}
