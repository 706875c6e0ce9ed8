package driveserver

import (
	"net/http"
	"strings"
)

func (c *call) filesGet() error {
	c.s.mu.RLock()
	x := c.sight(c.s.st)
	it, err := c.find(x, c.id)
	if err != nil {
		c.s.mu.RUnlock()
		return err
	}
	v := c.file(x, it, c.fields)
	c.s.mu.RUnlock()
	return c.answer(v)
}

func (c *call) filesCreate() error {
	var p patch
	if err := c.read(&p); err != nil {
		return err
	}
	if p.bytes() {
		return c.keepContent(p, http.NoBody, "")
	}
	return c.edit(func(tx *txn, x *sight) (*item, error) { return c.create(tx, x, p, nil) })
}

// edit runs a change of one item as a transaction and answers with the item as it then is.
func (c *call) edit(fn func(*txn, *sight) (*item, error)) error {
	v, err := c.change(fn)
	if err != nil {
		return err
	}
	return c.answer(v)
}

func (c *call) change(fn func(*txn, *sight) (*item, error)) (map[string]any, error) {
	var id string
	if c.fault.is(FaultTwin) {
		first := func(tx *txn) error { _, err := fn(tx, c.sight(tx)); return err }
		if err := c.s.update(c.who.ID, first); err != nil {
			return nil, err
		}
	}
	err := c.s.update(c.who.ID, func(tx *txn) error {
		it, err := fn(tx, c.sight(tx))
		if err == nil {
			id = it.ID
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return c.show(id)
}

// show is an item as the caller sees it now.
func (c *call) show(id string) (map[string]any, error) {
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	x := c.sight(c.s.st)
	it := x.view.item(id)
	if it == nil {
		return nil, errNotFound(id)
	}
	return c.file(x, it, c.fields), nil
}

// create makes an item of the metadata; the content is nil for what has no bytes.
func (c *call) create(tx *txn, x *sight, p patch, body *content) (*item, error) {
	parent, err := c.newParent(x, p.Parents)
	if err != nil {
		return nil, err
	}
	id, err := c.takeID(tx, p, parent.Space)
	if err != nil {
		return nil, err
	}
	it := &item{ID: id, Owner: c.who.ID, Parent: parent.ID, Space: parent.Space, Client: c.who.client, Name: "Untitled", Mime: mimeUnknown,
		Created: tx.now, Modified: tx.now, ModifiedBy: c.who.ID, Content: body}
	it.personalOf(c.who.ID, func(u *personal) { u.Modified = tx.now })
	if err := c.merge(tx, x, it, p); err != nil {
		return nil, err
	}
	if p.Shortcut != nil && p.Shortcut.TargetID != nil {
		target, err := c.find(x, *p.Shortcut.TargetID)
		if err != nil {
			return nil, err
		}
		it.Mime, it.Target, it.TargetMime = mimeShortcut, target.ID, target.Mime
	}
	if it.Mime == mimeShortcut && it.Target == "" {
		return nil, errRequired("shortcutDetails.targetId")
	}
	if err := tx.st.room(c.who.account, it.size()); err != nil {
		return nil, err
	}
	it.Content = body.stored(tx.now)
	if err := tx.fits(it, parent); err != nil {
		return nil, err
	}
	tx.put(it, false)
	return it, nil
}

// newParent is the folder that a new item goes into.
func (c *call) newParent(x *sight, parents []string) (*item, error) {
	if len(parents) > 1 {
		return nil, errReason(http.StatusForbidden, "cannotAddParent", "Increasing the number of parents is not allowed")
	}
	id := c.who.Root
	if len(parents) == 1 {
		id = parents[0]
	} else if !c.who.whole() && !c.who.scoped(spaceDrive) {
		id = c.who.AppRoot
	}
	return c.folderFor(x, id)
}

// folderFor is a folder that the caller may put things into.
func (c *call) folderFor(x *sight, id string) (*item, error) {
	parent, err := c.find(x, id)
	if err != nil {
		return nil, err
	}
	if !parent.folder() {
		return nil, errReason(http.StatusForbidden, "parentNotAFolder", "The specified parent is not a folder.")
	}
	if x.role(parent) < roleWriter {
		return nil, errForbidden(parent.ID)
	}
	return parent, nil
}

// takeID is the id of a new item: one that was issued to the caller, or a fresh one.
func (c *call) takeID(tx *txn, p patch, space string) (string, error) {
	if p.ID == nil || *p.ID == "" {
		return newFileID(), nil
	}
	id := *p.ID
	was, ok := tx.st.ids[id]
	if tx.item(id) != nil || ok && was.Used {
		reason := "fileIdInUse"
		if tx.s.faults.switches().DuplicateReason {
			reason = "duplicate"
		}
		return "", &apiError{Code: http.StatusConflict, Reason: reason, Message: "A file already exists with the provided ID.", Location: "id"}
	}
	if !ok || was.Account != c.who.ID || was.Space != space {
		return "", &apiError{Code: http.StatusBadRequest, Reason: "invalid", Message: "The provided file ID is not usable.", Location: "id"}
	}
	if p.Mime != nil && strings.HasPrefix(*p.Mime, mimeGoogle) && *p.Mime != mimeFolder && *p.Mime != mimeShortcut {
		return "", errInvalid("id")
	}
	tx.keepID(id, issued{Account: was.Account, Space: was.Space, Used: true})
	return id, nil
}

// room refuses content beyond the storage of an account.
func (st *state) room(a *account, more int64) error {
	if a.Limit > 0 && more > 0 && st.usage[a.ID]+more > a.Limit {
		return errReason(http.StatusForbidden, "storageQuotaExceeded", "The user's Drive storage quota has been exceeded.")
	}
	return nil
}

const maxChildren = 500_000

// fits refuses an item that would lie too deep, or in a folder that is full.
func (tx *txn) fits(it, parent *item) error {
	below := 0
	if before := tx.item(it.ID); before != nil && it.folder() {
		for _, d := range descendants(tx, it.ID) {
			below = max(below, depth(tx, tx.item(d))-depth(tx, before))
		}
	}
	if depth(tx, parent)+1+below > maxDepth {
		return errReason(http.StatusForbidden, "myDriveHierarchyDepthLimitExceeded", "The folder hierarchy is too deep.")
	}
	if !parent.Root && len(tx.st.children[parent.ID]) >= maxChildren {
		return errReason(http.StatusForbidden, "numChildrenInNonRootLimitExceeded", "The limit for this folder's number of children has been exceeded.")
	}
	return nil
}

func (c *call) filesUpdate() error {
	var p patch
	if err := c.read(&p); err != nil {
		return err
	}
	return c.edit(func(tx *txn, x *sight) (*item, error) { return c.modify(tx, x, c.id, p, nil) })
}

// modify changes metadata, place and content of an item.
func (c *call) modify(tx *txn, x *sight, id string, p patch, body *content) (*item, error) {
	old, err := c.find(x, id)
	if err != nil {
		return nil, err
	}
	if p.Parents != nil {
		return nil, errReason(http.StatusForbidden, "fieldNotWritable", "The parents field is not directly writable in update requests. Use the addParents and removeParents parameters instead.")
	}
	own := body == nil && p.personalOnly() && c.q.Get("addParents") == "" && c.q.Get("removeParents") == ""
	if !own && (x.role(old) < roleWriter || old.Root) {
		return nil, errForbidden(old.ID)
	}
	if p.ownerOnly() && old.Owner != c.who.ID {
		return nil, errForbidden(old.ID)
	}
	it := old.clone()
	if body != nil {
		if old.Content == nil {
			return nil, errReason(http.StatusForbidden, "cannotModifyContent", "The content of this item cannot be changed.")
		}
		if err := tx.st.room(tx.st.accounts[it.Owner], body.Size-old.Content.Size); err != nil {
			return nil, err
		}
		it.Content, it.Keep = body.stored(tx.now), c.flag("keepRevisionForever", false)
	}
	if err := c.merge(tx, x, it, p); err != nil {
		return nil, err
	}
	if (body != nil || p.shows()) && p.Modified == nil {
		it.Modified = tx.now
	}
	if body != nil || p.shows() || p.Modified != nil {
		it.ModifiedBy = c.who.ID
		it.personalOf(c.who.ID, func(u *personal) { u.Modified = it.Modified })
	}
	if err := c.move(tx, x, it); err != nil {
		return nil, err
	}
	deep := it.Parent != old.Parent || it.Trashed != old.Trashed || it.Limited != old.Limited
	tx.put(it, deep)
	return it, nil
}

// move carries out addParents and removeParents.
func (c *call) move(tx *txn, x *sight, it *item) error {
	add, remove := idList(c.q.Get("addParents")), idList(c.q.Get("removeParents"))
	if len(add) == 0 && len(remove) == 0 {
		return nil
	}
	leaves := false
	for _, id := range remove {
		id = c.alias(id)
		if id == it.Parent {
			if p := x.parentSeen(it); p != nil && x.role(p) < roleWriter && it.Owner != c.who.ID {
				return errForbidden(p.ID)
			}
			leaves = true
		}
	}
	if len(add) > 1 {
		return errReason(http.StatusForbidden, "cannotAddParent", "Increasing the number of parents is not allowed")
	}
	if len(add) == 0 {
		if leaves {
			it.Parent = tx.st.accounts[it.Owner].Root
		}
		return nil
	}
	to, err := c.folderFor(x, add[0])
	if err != nil {
		return err
	}
	if to.ID == it.Parent {
		return nil
	}
	if !leaves && x.parentSeen(it) != nil && !c.flag("enforceSingleParent", false) {
		return errReason(http.StatusForbidden, "cannotAddParent", "Increasing the number of parents is not allowed")
	}
	if to.Space != it.Space {
		return errReason(http.StatusForbidden, "notSupportedForAppDataFolderFiles", "Items cannot leave or enter the application data folder.")
	}
	for p, n := to, 0; p != nil && n <= maxDepth; p, n = tx.item(p.Parent), n+1 {
		if p.ID == it.ID {
			return errReason(http.StatusForbidden, "cyclicMove", "A folder cannot be moved into itself.")
		}
	}
	it.Parent = to.ID
	return tx.fits(it, to)
}

func idList(s string) []string {
	var ids []string
	for one := range strings.SplitSeq(s, ",") {
		if one = strings.TrimSpace(one); one != "" {
			ids = append(ids, one)
		}
	}
	return ids
}

func (c *call) filesDelete() error {
	err := c.s.update(c.who.ID, func(tx *txn) error {
		it, err := c.find(c.sight(tx), c.id)
		if err != nil {
			return err
		}
		if it.Owner != c.who.ID || it.Root {
			return errForbidden(it.ID)
		}
		tx.deleteTree(it)
		return nil
	})
	if err != nil {
		return err
	}
	return c.noContent()
}

// deleteTree deletes an item for good, with everything below it that has the same owner. What others own there goes to their root folders
// if the folder it lies in goes.
func (tx *txn) deleteTree(top *item) {
	all := descendants(tx, top.ID)
	gone := map[string]bool{top.ID: true}
	for _, id := range all {
		if it := tx.item(id); it.Owner == top.Owner {
			gone[id] = true
		}
	}
	for _, id := range all {
		if it := tx.item(id); !gone[id] && gone[it.Parent] {
			tx.sendHome(it)
		}
	}
	for id := range gone {
		tx.remove(tx.item(id))
	}
}

// sendHome moves an item to the root folder of its owner.
func (tx *txn) sendHome(it *item) {
	c := it.clone()
	c.Parent = tx.st.accounts[it.Owner].Root
	tx.put(c, true)
}

func (c *call) emptyTrash() error {
	err := c.s.update(c.who.ID, func(tx *txn) error {
		for id, it := range tx.st.items {
			if it.Owner == c.who.ID && it.Trashed && c.who.admits(it) && tx.item(id) != nil {
				tx.deleteTree(tx.item(id))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.noContent()
}
