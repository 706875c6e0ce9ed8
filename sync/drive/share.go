package drive

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/openmined/syftfs/sync/remote"
	gdrive "google.golang.org/api/drive/v3"
)

// lockSharing lets one change of permissions at a time through.
func (c *Client) lockSharing(ctx context.Context) (unlock func(), err error) {
	select {
	case c.sharing <- struct{}{}:
		return func() { <-c.sharing }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func permission(g remote.Grant) *gdrive.Permission {
	if g.Who == remote.Anyone {
		return &gdrive.Permission{Type: "anyone", Role: string(g.Role)}
	}
	return &gdrive.Permission{Type: "user", Role: string(g.Role), EmailAddress: g.Who}
}

// granted is the part of an answer that matters.
const granted = "id,role"

// Grant shares with one in one request, with several in one batch; more only where the server does not do as it is told.
func (c *Client) Grant(ctx context.Context, id remote.ID, grants ...remote.Grant) error {
	unlock, err := c.lockSharing(ctx)
	if err != nil {
		return c.failed(ctx, remote.OpGrant, id, "", err)
	}
	defer unlock()
	if len(grants) == 1 {
		p, err := c.service.Permissions.Create(string(id), permission(grants[0])).SendNotificationEmail(false).Fields(granted).Context(ctx).Do()
		return c.settle(ctx, id, grants[0], p, err)
	}
	calls := make([]call, len(grants))
	for n, g := range grants {
		calls[n] = call{method: http.MethodPost, body: permission(g),
			path: "/drive/v3/files/" + escape(id) + "/permissions?sendNotificationEmail=false&fields=" + granted}
	}
	answers, err := c.batch(ctx, calls)
	if err != nil {
		return c.failed(ctx, remote.OpGrant, id, "", err)
	}
	var errs []error
	for n, a := range answers {
		var p gdrive.Permission
		if a.err == nil {
			a.err = json.Unmarshal(a.body, &p)
		}
		errs = append(errs, c.settle(ctx, id, grants[n], &p, a.err))
	}
	return errors.Join(errs...)
}

// settle looks at what became of a grant. One that was there before with another role is changed. One that is refused as it
// stands may be there already, or need an e-mail to the person: Drive does not share silently with an address that has no account.
func (c *Client) settle(ctx context.Context, id remote.ID, g remote.Grant, p *gdrive.Permission, err error) error {
	var refused *remote.Error
	if err != nil {
		err = c.failed(ctx, remote.OpGrant, id, g.Who, err)
		if !errors.As(err, &refused) || refused.Reason != "invalidSharingRequest" {
			return err
		}
		if p, err = c.permission(ctx, remote.OpGrant, id, g.Who); err != nil {
			return err
		}
	}
	if p == nil {
		p, err = c.service.Permissions.Create(string(id), permission(g)).SendNotificationEmail(g.Who != remote.Anyone).Fields(granted).Context(ctx).Do()
		if err != nil {
			return c.failed(ctx, remote.OpGrant, id, g.Who, err)
		}
	}
	c.remember(g.Who, p.Id)
	if p.Role == string(g.Role) {
		return nil
	}
	_, err = c.service.Permissions.Update(string(id), p.Id, &gdrive.Permission{Role: string(g.Role)}).Fields("id").Context(ctx).Do()
	if err != nil {
		return c.failed(ctx, remote.OpGrant, id, g.Who, err)
	}
	return nil
}

func (c *Client) remember(who, permission string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.grantees[strings.ToLower(who)] = permission
}

// Revoke takes one request if the person was shared with before, two otherwise.
func (c *Client) Revoke(ctx context.Context, id remote.ID, who string) error {
	unlock, err := c.lockSharing(ctx)
	if err != nil {
		return c.failed(ctx, remote.OpRevoke, id, who, err)
	}
	defer unlock()
	c.mu.Lock()
	known := c.grantees[strings.ToLower(who)]
	c.mu.Unlock()
	if known != "" {
		err := c.service.Permissions.Delete(string(id), known).Context(ctx).Do()
		if err == nil {
			return nil
		}
		if err = c.failed(ctx, remote.OpRevoke, id, who, err); !errors.Is(err, remote.NotFound) {
			return err
		}
		// The object, or the grant, or the id that we remember, is not there.
	}
	p, err := c.permission(ctx, remote.OpRevoke, id, who)
	if err != nil || p == nil {
		return err
	}
	if err := c.service.Permissions.Delete(string(id), p.Id).Context(ctx).Do(); err != nil {
		return c.failed(ctx, remote.OpRevoke, id, who, err)
	}
	return nil
}

// permission finds what somebody was granted; nil if nothing.
func (c *Client) permission(ctx context.Context, op string, id remote.ID, who string) (*gdrive.Permission, error) {
	all, err := c.permissions(ctx, op, id)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if p.Role != "owner" && strings.EqualFold(grantee(p), who) {
			return p, nil
		}
	}
	return nil, nil
}

func grantee(p *gdrive.Permission) string {
	if p.Type == "anyone" {
		return remote.Anyone
	}
	return p.EmailAddress
}

func (c *Client) permissions(ctx context.Context, op string, id remote.ID) ([]*gdrive.Permission, error) {
	var all []*gdrive.Permission
	err := c.service.Permissions.List(string(id)).Fields("nextPageToken,permissions(id,type,role,emailAddress)").Pages(ctx, func(l *gdrive.PermissionList) error {
		all = append(all, l.Permissions...)
		return nil
	})
	if err != nil {
		return nil, c.failed(ctx, op, id, "", err)
	}
	return all, nil
}

// Grants lists who may use the object; what only a person in a browser can grant (commenting, a whole domain) counts as reading.
func (c *Client) Grants(ctx context.Context, id remote.ID) ([]remote.Grant, error) {
	all, err := c.permissions(ctx, remote.OpGrants, id)
	if err != nil {
		return nil, err
	}
	var grants []remote.Grant
	for _, p := range all {
		who, role := grantee(p), remote.CanRead
		if p.Role == "owner" || who == "" {
			continue
		}
		if p.Role == string(remote.CanWrite) {
			role = remote.CanWrite
		}
		grants = append(grants, remote.Grant{Who: who, Role: role})
	}
	return grants, nil
}
