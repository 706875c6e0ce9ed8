package remotetest

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/openmined/syftfs/sync/remote"
)

const feedPage = 1000

func (a *account) Start(ctx context.Context) (remote.Token, error) {
	unlock, err := a.enter(ctx, remote.OpStart)
	if err != nil {
		return "", err
	}
	defer unlock()
	return remote.Token(strconv.Itoa(len(a.world.feeds[a.me]))), nil
}

func (a *account) Since(ctx context.Context, t remote.Token, want remote.Fields) (remote.Changes, error) {
	unlock, err := a.enter(ctx, remote.OpSince)
	if err != nil {
		return remote.Changes{}, err
	}
	defer unlock()
	feed := a.world.feeds[a.me]
	from, err := strconv.Atoi(string(t))
	if err != nil || from < 0 || from > len(feed) {
		return remote.Changes{}, fail(remote.OpSince, remote.TokenLost, "")
	}
	to := min(len(feed), from+feedPage)
	c := remote.Changes{Next: remote.Token(strconv.Itoa(to)), More: to < len(feed)}
	told := map[remote.ID]bool{}
	for _, id := range feed[from:to] {
		if told[id] {
			continue
		}
		told[id] = true
		it := a.world.items[id]
		if it == nil || a.world.inTrash(it) || a.world.role(it, a.me, false) == "" {
			c.Items = append(c.Items, remote.Change{ID: id, Gone: true, Object: remote.Object{ID: id}})
			continue
		}
		c.Items = append(c.Items, remote.Change{ID: id, Object: a.world.seen(it, a.me, want)})
	}
	return c, nil
}

func (a *account) Grant(ctx context.Context, id remote.ID, grants ...remote.Grant) error {
	unlock, err := a.enter(ctx, remote.OpGrant)
	if err != nil {
		return err
	}
	defer unlock()
	it, err := a.writable(remote.OpGrant, id)
	if err != nil {
		return err
	}
	a.world.changing(it, func() {
		for _, g := range grants {
			it.grants[strings.ToLower(g.Who)] = g.Role
		}
	})
	return nil
}

func (a *account) Revoke(ctx context.Context, id remote.ID, who string) error {
	unlock, err := a.enter(ctx, remote.OpRevoke)
	if err != nil {
		return err
	}
	defer unlock()
	it, err := a.writable(remote.OpRevoke, id)
	if err != nil {
		return err
	}
	who = strings.ToLower(who)
	if it.grants[who] == "" {
		for at := a.world.items[it.Parent]; at != nil; at = a.world.items[at.Parent] {
			if at.grants[who] != "" {
				return fail(remote.OpRevoke, remote.Permission, id)
			}
		}
		return nil
	}
	a.world.changing(it, func() { delete(it.grants, who) })
	return nil
}

func (a *account) Grants(ctx context.Context, id remote.ID) ([]remote.Grant, error) {
	unlock, err := a.enter(ctx, remote.OpGrants)
	if err != nil {
		return nil, err
	}
	defer unlock()
	it, err := a.writable(remote.OpGrants, id)
	if err != nil {
		return nil, err
	}
	roles := map[string]remote.Role{}
	for at := it; at != nil; at = a.world.items[at.Parent] {
		for who, role := range at.grants {
			roles[who] = higher(roles[who], role)
		}
	}
	delete(roles, strings.ToLower(it.Owner))
	var all []remote.Grant
	for _, who := range slices.Sorted(maps.Keys(roles)) {
		all = append(all, remote.Grant{Who: who, Role: roles[who]})
	}
	return all, nil
}

func (a *account) NewIDs(ctx context.Context, n int) ([]remote.ID, error) {
	unlock, err := a.enter(ctx, remote.OpNewIDs)
	if err != nil {
		return nil, err
	}
	defer unlock()
	ids := make([]remote.ID, n)
	for i := range ids {
		ids[i] = a.world.id("object")
		a.world.issued[ids[i]] = a.me
	}
	return ids, nil
}

func (a *account) Whoami(ctx context.Context) (string, error) {
	unlock, err := a.enter(ctx, remote.OpWhoami)
	if err != nil {
		return "", err
	}
	defer unlock()
	return a.me, nil
}
