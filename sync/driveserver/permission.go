package driveserver

import (
	"net/http"
	"slices"
	"strings"
)

// permission is what one grantee has on an item, directly and from the folders above.
type permission struct {
	grant
	direct    bool // on the item itself
	inherited role // the most that comes from above
	owner     bool
}

// permissionsOf lists who has what on an item: the owner first, the others by id.
func (c *call) permissionsOf(x *sight, it *item) []permission {
	byID := map[string]*permission{}
	take := func(g grant, direct bool) {
		if g.Expires != 0 && g.Expires <= x.now {
			return
		}
		p := byID[g.ID]
		if p == nil {
			p = &permission{grant: g}
			byID[g.ID] = p
		}
		if direct {
			p.direct, p.owner = true, g.Role == roleOwner
		} else {
			p.inherited = max(p.inherited, g.Role)
			if !p.direct && p.Role < g.Role {
				p.grant = g
			}
		}
		p.Role = max(p.Role, g.Role)
	}
	take(grant{ID: it.Owner, Type: "user", Role: roleOwner}, true)
	for _, g := range it.Grants {
		take(g, true)
	}
	cut := it.Limited
	for p, n := x.view.item(it.Parent), 0; p != nil && n < maxDepth; p, n = x.view.item(p.Parent), n+1 {
		take(grant{ID: p.Owner, Type: "user", Role: roleWriter}, false)
		for _, g := range p.Grants {
			if !cut {
				take(g, false)
			}
		}
		cut = cut || p.Limited
	}
	all := make([]permission, 0, len(byID))
	for _, p := range byID {
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b permission) int {
		if a.owner != b.owner {
			if a.owner {
				return -1
			}
			return 1
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all
}

// permission is a Permission resource. Hold Server.mu.
func (c *call) permission(p permission) map[string]any {
	out := map[string]any{"kind": "drive#permission", "id": p.ID, "type": p.Type, "role": p.Role.String()}
	switch p.Type {
	case "anyone":
		out["allowFileDiscovery"] = p.Discover
	case "domain":
		out["domain"], out["displayName"], out["allowFileDiscovery"] = p.Domain, p.Domain, p.Discover
	default:
		out["deleted"], out["pendingOwner"] = true, p.Pending
		if a := c.s.st.accounts[p.ID]; a != nil {
			out["emailAddress"], out["displayName"], out["deleted"] = a.Email, a.name(), false
		}
	}
	if p.Expires != 0 {
		out["expirationTime"] = stamp(p.Expires)
	}
	if p.View != "" {
		out["view"] = p.View
	}
	var details []any
	if p.direct {
		details = append(details, map[string]any{"permissionType": "file", "role": p.Role.String(), "inherited": false})
	}
	if p.inherited != roleNone {
		details = append(details, map[string]any{"permissionType": "file", "role": p.inherited.String(), "inherited": true})
	}
	out["permissionDetails"] = details
	return out
}

// shareable is an item whose permissions the caller may list and change.
func (c *call) shareable(x *sight, id string) (*item, error) {
	it, err := c.find(x, id)
	if err != nil {
		return nil, err
	}
	if r := x.role(it); r < roleWriter || r == roleWriter && it.WritersNoShare {
		return nil, errForbidden(it.ID)
	}
	return it, nil
}

func errNoPermission(id string) *apiError {
	return &apiError{Code: http.StatusNotFound, Reason: "notFound", Message: "Permission not found: " + clip(id) + ".", Location: "permissionId"}
}

func (c *call) permissionsList() error {
	c.s.mu.RLock()
	x := c.sight(c.s.st)
	it, err := c.shareable(x, c.id)
	if err != nil {
		c.s.mu.RUnlock()
		return err
	}
	all := []any{}
	for _, p := range c.permissionsOf(x, it) {
		all = append(all, c.permission(p))
	}
	c.s.mu.RUnlock()
	size, start, err := c.page("permissions", 100, len(all))
	if err != nil {
		return err
	}
	out := map[string]any{"kind": "drive#permissionList"}
	if start > len(all) {
		start = len(all)
	}
	if end := start + size; end < len(all) {
		out["nextPageToken"] = c.pageToken("permissions", cursor{At: end})
		all = all[:end]
	}
	out["permissions"] = all[start:]
	return c.answer(out)
}

// permissionOn finds one permission of an item, which the caller may share or holds.
func (c *call) permissionOn(x *sight, id, pid string) (*item, permission, error) {
	it, err := c.find(x, id)
	if err != nil {
		return nil, permission{}, err
	}
	if pid == "me" {
		pid = c.who.ID
	}
	if _, err := c.shareable(x, id); err != nil && pid != c.who.ID {
		return nil, permission{}, err
	}
	for _, p := range c.permissionsOf(x, it) {
		if p.ID == pid {
			return it, p, nil
		}
	}
	return nil, permission{}, errNoPermission(pid)
}

func (c *call) permissionsGet() error {
	c.s.mu.RLock()
	x := c.sight(c.s.st)
	_, p, err := c.permissionOn(x, c.id, c.r.PathValue("pid"))
	if err != nil {
		c.s.mu.RUnlock()
		return err
	}
	out := c.permission(p)
	c.s.mu.RUnlock()
	return c.answer(out)
}

// changePermission runs a change of permissions and answers with the permission of the id that it returns.
func (c *call) changePermission(fn func(*txn, *sight) (string, error)) error {
	var pid string
	err := c.s.update(c.who.ID, func(tx *txn) (err error) {
		pid, err = fn(tx, c.sight(tx))
		return err
	})
	if err != nil {
		return err
	}
	c.s.mu.RLock()
	x := c.sight(c.s.st)
	it := x.view.item(c.alias(c.id))
	var out map[string]any
	if it != nil {
		for _, p := range c.permissionsOf(x, it) {
			if p.ID == pid {
				out = c.permission(p)
			}
		}
	}
	c.s.mu.RUnlock()
	if out == nil {
		return errNoPermission(pid)
	}
	return c.answer(out)
}

func (c *call) permissionsUpdate() error {
	var p permissionPatch
	if err := c.read(&p); err != nil {
		return err
	}
	return c.changePermission(func(tx *txn, x *sight) (string, error) {
		it, have, err := c.permissionOn(x, c.id, c.r.PathValue("pid"))
		if err != nil {
			return "", err
		}
		g := have.grant
		if p.Role != nil {
			if g.Role, err = p.parsedRole(); err != nil {
				return "", err
			}
		}
		if g.Role != roleOwner {
			if _, err := c.shareable(x, it.ID); err != nil {
				return "", err
			}
		}
		switch {
		case have.owner && g.Role != roleOwner:
			return "", errForbidden(it.ID)
		case have.owner:
			return have.ID, nil
		case g.Role < have.inherited || !have.direct && g.Role == have.inherited:
			return "", errReason(http.StatusForbidden, "cannotModifyInheritedPermission", "Cannot modify an inherited permission.")
		case !have.direct:
			g = grant{ID: g.ID, Type: g.Type, Role: g.Role, Domain: g.Domain, By: c.who.ID, At: tx.now}
		}
		return have.ID, c.applyGrant(tx, x, it, g, p)
	})
}

func (c *call) permissionsDelete() error {
	err := c.s.update(c.who.ID, func(tx *txn) error {
		x := c.sight(tx)
		it, have, err := c.permissionOn(x, c.id, c.r.PathValue("pid"))
		switch {
		case err != nil:
			return err
		case have.owner:
			return errForbidden(it.ID)
		case !have.direct:
			return errReason(http.StatusForbidden, "cannotDeleteInheritedPermission", "Cannot delete an inherited permission.")
		}
		n := it.clone()
		n.dropGrant(have.ID)
		tx.put(n, true)
		return nil
	})
	if err != nil {
		return err
	}
	return c.noContent()
}
