package driveserver

import (
	"net/http"
	"strconv"
)

func (c *call) filesCopy() error {
	var p patch
	if err := c.read(&p); err != nil {
		return err
	}
	return c.edit(func(tx *txn, x *sight) (*item, error) {
		src, err := c.find(x, c.id)
		if err != nil {
			return nil, err
		}
		if p.ID != nil {
			return nil, errInvalid("id")
		}
		if !c.mayCopy(x, src) {
			return nil, errReason(http.StatusForbidden, "fileNotCopyable", "This file cannot be copied.")
		}
		q := p.over(src, c.who.client)
		if p.Parents == nil {
			if parent := x.parentSeen(src); parent != nil && x.role(parent) >= roleWriter && c.who.admits(parent) {
				q.Parents = []string{parent.ID}
			}
		}
		var body *content
		if src.Content != nil {
			same := *src.Content
			body = &same
		}
		return c.create(tx, x, q, body)
	})
}

func (c *call) mayCopy(x *sight, it *item) bool {
	return !it.folder() && (!it.NoCopy || x.role(it) >= roleWriter)
}

func (c *call) generateIDs() error {
	n := 10
	if v := c.q.Get("count"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil || n < 1 || n > 1000 {
			return errParameter("count", "Invalid value for count. Values must be within the range: [1, 1000]")
		}
	}
	space := c.q.Get("space")
	if space == "" {
		space = spaceDrive
	}
	if space != spaceDrive && space != spaceAppData {
		return errInvalid("space")
	}
	ids := make([]any, n)
	err := c.s.update(c.who.ID, func(tx *txn) error {
		for i := range ids {
			id := newFileID()
			ids[i] = id
			tx.keepID(id, issued{Account: c.who.ID, Space: space})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.answer(map[string]any{"kind": "drive#generatedIds", "space": space, "ids": ids})
}

func (c *call) filesExport() error {
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	if _, err := c.find(c.sight(c.s.st), c.id); err != nil {
		return err
	}
	return errReason(http.StatusForbidden, "fileNotExportable", "Export only supports Docs Editors files.")
}
