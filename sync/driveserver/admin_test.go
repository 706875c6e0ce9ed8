package driveserver_test

import (
	"context"
	"errors"
	iofs "io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openmined/syftfs/sync/driveserver"
	gdrive "google.golang.org/api/drive/v3"
)

func TestAdminEndpoint(t *testing.T) {
	t.Parallel()
	d := start(t)
	secret, err := os.ReadFile(filepath.Join(d.dir, "admin.secret"))
	if err != nil || string(secret) != d.AdminSecret() {
		t.Fatalf("%q %v", secret, err)
	}
	do := func(verb, path, body string) answer {
		return d.raw(verb, "/admin/v1/"+path, body, "Authorization", "Bearer "+d.AdminSecret())
	}
	if a := do("POST", "accounts", `{"email":"ada@example.org"}`); a.code != 200 || a.json(t)["signIn"] == "" {
		t.Fatalf("%d %s", a.code, a.body)
	}
	tok := do("POST", "accounts/ada@example.org/token", "")
	p := &person{d: d, token: tok.json(t)["access"].(string)}
	if a := p.raw("GET", "/drive/v3/about?fields=user", ""); a.code != 200 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	for _, c := range []struct {
		verb, path, body, part string
		code                   int
	}{
		{"GET", "accounts", "", "ada@example.org", 200},
		{"POST", "accounts", `{"email":"ADA@example.org"}`, "duplicate", 409},
		{"POST", "accounts", `{"email":"nobody"}`, "invalid", 400},
		{"POST", "accounts", `{"mail":"x@y"}`, "badRequest", 400},
		{"PATCH", "accounts/ada@example.org", `{"limit":5}`, "{}", 200},
		{"POST", "accounts/ada@example.org/token?format=syft", "", `"refresh_token"`, 200},
		{"POST", "accounts/nobody@example.org/token", "", "notFound", 404},
		{"POST", "accounts/ada@example.org/key", "", "BEGIN PRIVATE KEY", 200},
		{"GET", "client", "", "token_uri", 200},
		{"GET", "stats", "", "about.get", 200},
		{"PUT", "switches", `{"exactNames":true}`, "exactNames", 200},
		{"PUT", "switches", `{"exactName":true}`, "badRequest", 400},
		{"GET", "switches", "", "exactNames", 200},
		{"POST", "faults", `{"method":"about.get","count":1,"action":{"kind":"error","code":500}}`, `"id"`, 200},
		{"POST", "faults", `{"action":{"kind":"nothing"}}`, "invalid", 400},
		{"GET", "faults", "", `"seen": 0`, 200},
		{"DELETE", "faults/9", "", "notFound", 404},
		{"DELETE", "faults", "", "{}", 200},
		{"GET", "outbox", "", "", 200},
		{"GET", "check", "", `"problems": []`, 200},
		{"GET", "ca", "", "BEGIN CERTIFICATE", 200},
		{"DELETE", "stats", "", "{}", 200},
		{"DELETE", "accounts/ada@example.org", "", "{}", 200},
		{"GET", "nothing", "", "notFound", 404},
	} {
		if a := do(c.verb, c.path, c.body); a.code != c.code || !strings.Contains(a.body, c.part) {
			t.Errorf("%s %s: %d %s", c.verb, c.path, a.code, a.body)
		}
	}
	if a := p.raw("GET", "/drive/v3/about?fields=user", ""); a.code != 401 {
		t.Errorf("the token of a removed account: %d", a.code)
	}
	for _, token := range []string{"", "wrong", p.token} {
		if a := d.raw("GET", "/admin/v1/stats", "", "Authorization", "Bearer "+token); a.code != 401 {
			t.Errorf("token %q: %d", token, a.code)
		}
	}
}

func TestRemoveAccount(t *testing.T) {
	t.Parallel()
	d := start(t)
	ada, ben := d.person("ada@example.org"), d.person("ben@example.org")
	dir := ada.folder("dir")
	ada.share(dir, "ben@example.org", "writer")
	deep := ada.folder("deep", dir)
	bens := ben.file("bens", "x", deep)
	bensDir := ben.folder("bens dir")
	ben.share(bensDir, "ada@example.org", "writer")
	adas := ada.file("adas", "y", bensDir)
	// Ada moved something of Ben's into her root.
	moved := ben.file("moved", "z", dir)
	if _, err := ada.Files.Update(moved, nil).AddParents("root").RemoveParents(dir).Do(); err != nil {
		t.Fatal(err)
	}
	if err := d.RemoveAccount("ada@example.org"); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{dir: false, deep: false, adas: false, bens: true, bensDir: true, moved: true} {
		if f, err := ben.Files.Get(id).Fields("parents").Do(); (err == nil) != want || err == nil && len(f.Parents) != 1 {
			t.Errorf("%s: %+v %v", id, f, err)
		}
	}
	if l, err := ben.Permissions.List(bensDir).Do(); err != nil || len(l.Permissions) != 1 {
		t.Errorf("%+v %v", l, err)
	}
	if problems, err := d.Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	d.restart()
	if err := d.RemoveAccount("ada@example.org"); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("twice: %v", err)
	}
	if a := d.Accounts(); len(a) != 1 || a[0].Items != 3 {
		t.Errorf("%+v", a)
	}
}

func TestSharedBeforeTheAccountExists(t *testing.T) {
	t.Parallel()
	d := start(t)
	ada := d.person("ada@example.org")
	id := ada.file("f", "x")
	pid := ada.share(id, "Ben@Example.org", "reader")
	if err := d.SetSwitches(driveserver.Switches{KnownGranteesOnly: true, RefuseRegrant: true}); err != nil {
		t.Fatal(err)
	}
	_, err := ada.Permissions.Create(id, &gdrive.Permission{Type: "user", Role: "reader", EmailAddress: "cem@example.org"}).Do()
	wantError(t, err, 400, "invalidSharingRequest")
	_, err = ada.Permissions.Create(id, &gdrive.Permission{Type: "user", Role: "writer", EmailAddress: "ben@example.org"}).Do()
	wantError(t, err, 400, "invalidSharingRequest")
	if err := d.SetSwitches(driveserver.Switches{}); err != nil {
		t.Fatal(err)
	}
	ben := d.person("ben@example.org")
	if got, err := ben.content(id); got != "x" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if again := ada.share(id, "ben@example.org", "writer"); again != pid {
		t.Errorf("the permission id changed from %s to %s", pid, again)
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	d := start(t)
	p := d.person("ada@example.org")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Serve(ctx, l) }()
	if a := p.raw("GET", "http://"+l.Addr().String()+"/drive/v3/about?fields=user", ""); a.code != 200 {
		t.Errorf("%d %s", a.code, a.body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	open, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Serve(t.Context(), open); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("an open address: %v", err)
	}
	if _, err := http.Get("http://" + open.Addr().String()); err == nil {
		t.Error("the refused listener is open")
	}
}
