package driveserver

import (
	"fmt"
	"net/http"
	"time"
)

// permissionPatch is the body of a permission request.
type permissionPatch struct {
	Type     string  `json:"type"`
	Role     *string `json:"role"`
	Email    string  `json:"emailAddress"`
	Domain   string  `json:"domain"`
	Discover *bool   `json:"allowFileDiscovery"`
	Expires  *moment `json:"expirationTime"`
	Pending  *bool   `json:"pendingOwner"`
	View     *string `json:"view"`
}

func (p permissionPatch) parsedRole() (role, error) {
	if p.Role == nil {
		return roleNone, errRequired("permission.role")
	}
	r, ok := parseRole(*p.Role)
	if !ok {
		return roleNone, errInvalid("permission.role")
	}
	return r, nil
}

func (c *call) permissionsCreate() error {
	var p permissionPatch
	if err := c.read(&p); err != nil {
		return err
	}
	r, err := p.parsedRole()
	if err != nil {
		return err
	}
	return c.changePermission(func(tx *txn, x *sight) (string, error) {
		it, err := c.shareable(x, c.id)
		if err != nil {
			return "", err
		}
		if it.Root || it.Space == spaceAppData {
			return "", errForbidden(it.ID)
		}
		g, err := c.grantee(tx, p)
		if err != nil {
			return "", err
		}
		if _, have := it.grantOf(g.ID); (have || g.ID == it.Owner) && tx.s.faults.switches().RefuseRegrant {
			return "", &apiError{Code: http.StatusBadRequest, Reason: "invalidSharingRequest", Message: "The item is alreadyShared with this address."}
		}
		if g.ID == it.Owner && r != roleOwner {
			return g.ID, nil // the owner has more than that already
		}
		g.Role, g.By, g.At = r, c.who.ID, tx.now
		if old, have := it.grantOf(g.ID); have {
			g.By, g.At = old.By, old.At
		}
		if err := c.applyGrant(tx, x, it, g, p); err != nil {
			return "", err
		}
		if (g.Type == "user" || g.Type == "group") && c.flag("sendNotificationEmail", true) {
			tx.mail(Mail{From: c.who.Email, To: p.Email, Item: it.ID, Name: it.Name, Role: r.String(), Message: clip(c.q.Get("emailMessage")), At: time.UnixMilli(tx.real).UTC()})
		}
		return g.ID, nil
	})
}

// grantee is the grant without its role for whoever the request names.
func (c *call) grantee(tx *txn, p permissionPatch) (grant, error) {
	switch p.Type {
	case "user", "group":
		if p.Email == "" {
			return grant{}, errRequired("permission.emailAddress")
		}
		if err := checkAddress(p.Email); err != nil {
			return grant{}, &apiError{Code: http.StatusBadRequest, Reason: "invalidSharingRequest", Message: "Bad Request. User message: \"The address is not valid.\"", Location: "permission.emailAddress"}
		}
		if tx.st.byMail(p.Email) == nil && tx.s.faults.switches().KnownGranteesOnly {
			return grant{}, errReason(http.StatusBadRequest, "invalidSharingRequest", "There is no account with this address.")
		}
		return grant{ID: tx.shadow(p.Email).ID, Type: p.Type}, nil
	case "domain":
		if p.Domain == "" || checkAddress("x@"+p.Domain) != nil {
			return grant{}, errRequired("permission.domain")
		}
		domain := lower(p.Domain)
		return grant{ID: domainID(domain), Type: "domain", Domain: domain}, nil
	case "anyone":
		if p.Discover != nil && *p.Discover {
			return grant{ID: "anyone", Type: "anyone"}, nil
		}
		return grant{ID: "anyoneWithLink", Type: "anyone"}, nil
	case "":
		return grant{}, errRequired("permission.type")
	}
	return grant{}, errInvalid("permission.type")
}

// domainID is stable for a domain, and ends as those of Drive do.
func domainID(domain string) string {
	var n uint64 = 14695981039346656037
	for _, b := range []byte(domain) {
		n = (n ^ uint64(b)) * 1099511628211
	}
	return fmt.Sprintf("%020dk", n)
}

// applyGrant checks a grant against what the caller holds, and stores it.
func (c *call) applyGrant(tx *txn, x *sight, it *item, g grant, p permissionPatch) error {
	set(&g.Discover, p.Discover)
	set(&g.View, p.View)
	set(&g.Pending, p.Pending)
	if p.Expires != nil {
		if g.Type != "user" && g.Type != "group" || int64(*p.Expires) <= tx.now || int64(*p.Expires) > tx.now+366*24*3600*1000 || it.folder() && g.Role > roleReader {
			return errReason(http.StatusForbidden, "cannotSetExpiration", "The expiration time cannot be set.")
		}
		g.Expires = int64(*p.Expires)
	}
	if c.flag("removeExpiration", false) {
		g.Expires = 0
	}
	if g.Role == roleOwner {
		return c.transfer(tx, it, g)
	}
	if g.Role > x.role(it) {
		return errForbidden(it.ID)
	}
	if g.Pending && (it.Owner != c.who.ID || g.Role != roleWriter) {
		return errForbidden(it.ID)
	}
	n := it.clone()
	n.setGrant(g)
	tx.put(n, true)
	return nil
}

// transfer makes somebody the owner: at once when the owner asks for it, or by the one whom the owner made the pending owner.
func (c *call) transfer(tx *txn, it *item, g grant) error {
	if !c.flag("transferOwnership", false) {
		return &apiError{Code: http.StatusForbidden, Reason: "forbidden", Message: "The transferOwnership parameter must be enabled when the permission role is 'owner'.", Location: "transferOwnership"}
	}
	to := tx.st.accounts[g.ID]
	if g.Type != "user" || to == nil || to.Root == "" {
		return errReason(http.StatusForbidden, "invalidOwnershipTransfer", "Only a person with an account can own an item.")
	}
	have, _ := it.grantOf(c.who.ID)
	accepted := have.Pending && g.ID == c.who.ID
	if it.Owner != c.who.ID && !accepted {
		return errForbidden(it.ID)
	}
	if to.ID == it.Owner {
		return nil
	}
	if err := tx.st.room(to, it.size()); err != nil {
		return err
	}
	n := it.clone()
	n.dropGrant(to.ID)
	n.setGrant(grant{ID: it.Owner, Type: "user", Role: roleWriter, By: to.ID, At: tx.now})
	n.Owner = to.ID
	if c.flag("moveToNewOwnersRoot", false) {
		n.Parent = to.Root
	}
	tx.put(n, true)
	return nil
}
