package service

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/account"
)

func TestUsers(t *testing.T) {
	w := newWorld(t)
	u, err := w.UserCreate(ctx, root, NewUser{Email: " Rachel@Uni.example ", Institution: "Institute", Password: "a long enough one"})
	must(t, err)
	if u.Email != string(rachel) || u.Name == "" || u.Role != "data_scientist" || u.Verified != "admin" || u.State != "active" || !u.PasswordSet || u.Root {
		t.Errorf("%+v", u)
	}
	b, err := json.Marshal(u)
	must(t, err)
	if strings.Contains(string(b), "long enough") || strings.Contains(string(b), "argon2") {
		t.Errorf("%s", b)
	}
	_, err = w.UserCreate(ctx, root, NewUser{Email: string(nina), Role: "guest"})
	must(t, err)
	if got := w.host.admitted; len(got) != 1 || got[0] != rachel {
		t.Errorf("job folders for %v", got)
	}

	off, err := w.UserDisable(ctx, root, Who{Who: u.ID})
	must(t, err)
	if off.State != "disabled" || len(w.host.admitted) != 1 {
		t.Errorf("%+v, job folders for %v", off, w.host.admitted)
	}
	_, err = w.UserVerify(ctx, root, Who{Who: string(rachel)})
	must(t, err)
	if len(w.host.admitted) != 1 {
		t.Errorf("job folders of a disabled account: %v", w.host.admitted)
	}
	on, err := w.UserEnable(ctx, root, Who{Who: strings.ToUpper(string(rachel))})
	must(t, err)
	if on.State != "active" || len(w.host.admitted) != 2 {
		t.Errorf("%+v, job folders for %v", on, w.host.admitted)
	}

	list, err := w.UserList(ctx, root, struct{}{})
	must(t, err)
	var got []string
	for _, u := range list {
		got = append(got, u.Email)
	}
	if strings.Join(got, " ") != string(owen+" "+rachel+" "+nina) || !list[0].Root {
		t.Errorf("%v", got)
	}
}

func TestUserRefusals(t *testing.T) {
	w := newWorld(t)
	w.user(rachel, "")
	for _, c := range []struct {
		name  string
		q     NewUser
		code  Code
		field string
	}{
		{"no address", NewUser{}, BadEmail, "email"},
		{"everybody of a domain", NewUser{Email: "*@uni.example"}, BadEmail, "email"},
		{"a path", NewUser{Email: "a/b@uni.example"}, BadEmail, "email"},
		{"a control character", NewUser{Email: "a\x1b@uni.example"}, BadEmail, "email"},
		{"taken", NewUser{Email: "RACHEL@uni.example"}, EmailTaken, "email"},
		{"the owner's", NewUser{Email: string(owen)}, EmailTaken, "email"},
		{"role", NewUser{Email: string(nina), Role: "data_owner"}, UnknownRole, "role"},
		{"password", NewUser{Email: string(nina), Password: "short"}, WeakPassword, "password"},
		{"website", NewUser{Email: string(nina), Website: "javascript:alert(1)"}, BadInput, "website"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.UserCreate(ctx, root, c.q)
			wantCode(t, err, c.code, c.field)
		})
	}
	if n := len(w.Accounts.List()); n != 2 {
		t.Errorf("%d accounts", n)
	}
	_, err := w.UserDisable(ctx, root, Who{Who: string(owen)})
	wantCode(t, err, Protected, "")
	_, err = w.UserVerify(ctx, root, Who{Who: string(nina)})
	wantCode(t, err, NotFound, "")
	_, err = w.UserEnable(ctx, root, Who{})
	wantCode(t, err, NotFound, "")
}

// TestAccountIsKeptWhenItsFoldersFail: the message tells what is done and how to go on.
func TestAccountIsKeptWhenItsFoldersFail(t *testing.T) {
	w := newWorld(t)
	w.host.refuse = syscall.ENOSPC
	_, err := w.UserCreate(ctx, root, NewUser{Email: string(rachel)})
	wantCode(t, err, Unexpected, "", "is kept", "syftfs users verify "+string(rachel), "no space left")
	w.host.refuse = nil
	_, err = w.UserVerify(ctx, root, Who{Who: string(rachel)})
	must(t, err)
	if len(w.host.admitted) != 1 {
		t.Errorf("%v", w.host.admitted)
	}
}

func TestViews(t *testing.T) {
	w := newWorld(t)
	acc := w.user(rachel, "")
	visitor := w.user(nina, account.Guest)
	admin := w.user("ann@lab.example", account.Admin)
	dir := filepath.Join(w.dir, "v")
	for _, c := range []struct {
		name    string
		q       OpenView
		subject perm.User
		id      string
		want    ViewOptions
	}{
		{"a preview", OpenView{Email: string(rachel), Dir: dir}, rachel, acc.ID, ViewOptions{Dir: dir, Email: rachel, TTL: DefaultTTL}},
		{"by its id", OpenView{Email: acc.ID, Dir: dir}, rachel, acc.ID, ViewOptions{Dir: dir, Email: rachel, TTL: DefaultTTL}},
		{"its time", OpenView{Email: string(rachel), Dir: dir, TTL: MaxTTL}, rachel, acc.ID, ViewOptions{Dir: dir, Email: rachel, TTL: MaxTTL}},
		{"a place to work", OpenView{Email: string(rachel), Dir: dir + "/../v/", Write: true}, rachel, acc.ID, ViewOptions{Dir: dir, Email: rachel, Write: true}},
		{"not signed in", OpenView{Guest: true, Dir: dir}, perm.Anonymous, "", ViewOptions{Dir: dir, TTL: DefaultTTL}},
		{"a guest account", OpenView{Email: string(nina), Dir: dir}, perm.Anonymous, visitor.ID, ViewOptions{Dir: dir, Email: nina, TTL: DefaultTTL}},
		{"an administrator", OpenView{Email: "ann@lab.example", Dir: dir}, owen, admin.ID, ViewOptions{Dir: dir, Email: "ann@lab.example", TTL: DefaultTTL}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.ViewOpen(ctx, root, c.q)
			must(t, err)
			if w.views.last != c.want || w.views.who.Subject != c.subject || w.views.who.Account != c.id {
				t.Errorf("opened %+v as %+v", w.views.last, w.views.who)
			}
		})
	}
	all := entries(t, filepath.Join(w.dir, "audit.jsonl"))
	if e := all[0]; e.Action != "view.open" || e.Actor != "owner" || e.As != string(rachel) || e.Target != dir {
		t.Errorf("both names must be told: %+v", e)
	}
	opened := w.views.opened
	_, err := w.UserDisable(ctx, root, Who{Who: acc.ID})
	must(t, err)
	for _, c := range []struct {
		name  string
		q     OpenView
		code  Code
		field string
		text  string
	}{
		{"a relative folder", OpenView{Email: string(nina), Dir: "v"}, BadInput, "dir", "absolute"},
		{"no folder", OpenView{Email: string(nina)}, BadInput, "dir", "absolute"},
		{"too long", OpenView{Email: string(nina), Dir: dir, TTL: MaxTTL + 1}, BadInput, "ttl", "12h"},
		{"negative", OpenView{Email: string(nina), Dir: dir, TTL: -1}, BadInput, "ttl", "12h"},
		{"a place to work with an end", OpenView{Email: string(nina), Dir: dir, Write: true, TTL: DefaultTTL}, BadInput, "ttl", "--ttl"},
		{"writing guests", OpenView{Guest: true, Dir: dir, Write: true}, BadInput, "write", "--write"},
		{"both", OpenView{Guest: true, Email: string(nina), Dir: dir}, BadInput, "email", "--guest"},
		{"the owner", OpenView{Email: string(owen), Dir: dir}, Forbidden, "", "own mount"},
		{"a stranger", OpenView{Email: "x@y.org", Dir: dir}, NotFound, "", "no such account"},
		{"nobody", OpenView{Dir: dir}, NotFound, "", "no such account"},
		{"a disabled account", OpenView{Email: string(rachel), Dir: dir}, Forbidden, "", "disabled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.ViewOpen(ctx, root, c.q)
			wantCode(t, err, c.code, c.field, c.text)
		})
	}
	if w.views.opened != opened {
		t.Error("a refused view was opened")
	}
	list, err := w.ViewList(ctx, root, struct{}{})
	must(t, err)
	if len(list) != opened {
		t.Errorf("%v", list)
	}
	w.views.open = []View{{Dir: dir}}
	_, err = w.ViewClose(ctx, root, CloseView{Dir: dir + "/"})
	must(t, err)
	_, err = w.ViewClose(ctx, root, CloseView{Dir: dir})
	wantCode(t, err, NotFound, "dir")
}
