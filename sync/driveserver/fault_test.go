package driveserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openmined/syftfs/sync/driveserver"
	gdrive "google.golang.org/api/drive/v3"
)

func (d *drive) spoil(r driveserver.Rule) string {
	d.t.Helper()
	id, err := d.AddFault(r)
	if err != nil {
		d.t.Fatal(err)
	}
	return id
}

func (p *person) count(q string) int {
	p.d.t.Helper()
	l, err := p.Files.List().Q(q).PageSize(1000).Do()
	if err != nil {
		p.d.t.Fatal(err)
	}
	return len(l.Files)
}

func TestFaultsOfWrites(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		action driveserver.Action
		made   int
		code   int // 0: the connection is cut
		reason string
	}{
		{driveserver.Action{Kind: driveserver.FaultError, Code: 429, RetryAfter: 3}, 0, 429, "rateLimitExceeded"},
		{driveserver.Action{Kind: driveserver.FaultError, Code: 403, Reason: "sharingRateLimitExceeded"}, 0, 403, "sharingRateLimitExceeded"},
		{driveserver.Action{Kind: driveserver.FaultError, Code: 401}, 0, 401, "authError"},
		{driveserver.Action{Kind: driveserver.FaultErrorAfter}, 1, 503, "backendError"},
		{driveserver.Action{Kind: driveserver.FaultErrorAfter, Code: 403}, 1, 403, "userRateLimitExceeded"},
		{driveserver.Action{Kind: driveserver.FaultDrop}, 0, 0, ""},
		{driveserver.Action{Kind: driveserver.FaultDropAfter}, 1, 0, ""},
		{driveserver.Action{Kind: driveserver.FaultDropInside}, 1, 0, ""},
		{driveserver.Action{Kind: driveserver.FaultTwin}, 2, 200, ""},
		{driveserver.Action{Kind: driveserver.FaultDelay, Delay: 1}, 1, 200, ""},
	} {
		t.Run(fmt.Sprint(c.action.Kind, c.action.Code), func(t *testing.T) {
			t.Parallel()
			d := start(t)
			p := d.person("ada@example.org")
			d.spoil(driveserver.Rule{User: "ADA@example.org", Method: "files.create", Count: 1, Action: c.action})
			_, err := p.Files.Create(&gdrive.File{Name: "one"}).Do()
			switch c.code {
			case 0:
				if err == nil {
					t.Error("the connection was not cut")
				}
			case 200:
				if err != nil {
					t.Error(err)
				}
			default:
				wantError(t, err, c.code, c.reason)
			}
			if n := p.count("name='one'"); n != c.made {
				t.Errorf("%d files, want %d", n, c.made)
			}
			if f := d.Faults(); len(f) != 1 || f[0].Fired != 1 {
				t.Errorf("%+v", f)
			}
			if _, err := p.Files.Create(&gdrive.File{Name: "two"}).Do(); err != nil {
				t.Errorf("the rule fires once: %v", err)
			}
		})
	}
}

func TestFaultsOfDownloads(t *testing.T) {
	t.Parallel()
	d := start(t)
	p := d.person("ada@example.org")
	id := p.file("f", "0123456789")
	get := func(a driveserver.Action, header string) (int, string, error) {
		t.Helper()
		rule := d.spoil(driveserver.Rule{Method: "files.download", Action: a})
		defer d.RemoveFault(rule)
		call := p.Files.Get(id)
		if header != "" {
			call.Header().Set("Range", header)
		}
		resp, err := call.Download()
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(raw), err
	}
	if _, body, err := get(driveserver.Action{Kind: driveserver.FaultTruncate, Bytes: 4}, ""); !errors.Is(err, io.ErrUnexpectedEOF) || body != "0123" {
		t.Errorf("truncate: %q %v", body, err)
	}
	if _, body, err := get(driveserver.Action{Kind: driveserver.FaultShort, Bytes: 4}, ""); err != nil || body != "0123" {
		t.Errorf("short: %q %v", body, err)
	}
	if _, body, err := get(driveserver.Action{Kind: driveserver.FaultCorrupt, Bytes: 4}, ""); err != nil || len(body) != 10 || body[4] == '4' || body[:4] != "0123" {
		t.Errorf("corrupt: %q %v", body, err)
	}
	if code, body, err := get(driveserver.Action{Kind: driveserver.FaultIgnoreRange}, "bytes=2-3"); err != nil || code != 200 || body != "0123456789" {
		t.Errorf("ignore range: %d %q %v", code, body, err)
	}
}

func TestFaultsOfUploads(t *testing.T) {
	t.Parallel()
	const unit = 256 << 10
	d := start(t)
	p := d.person("ada@example.org")
	begin := func() string {
		return p.raw("POST", "/upload/drive/v3/files?uploadType=resumable", `{"name":"u"}`).header.Get("Location")
	}
	send := func(to string, a driveserver.Action) answer {
		rule := d.spoil(driveserver.Rule{Method: "files.upload", Action: a})
		defer d.RemoveFault(rule)
		return d.raw("PUT", to, strings.Repeat("x", 2*unit), "Content-Range", fmt.Sprintf("bytes 0-%d/*", 2*unit-1))
	}
	to := begin()
	if a := send(to, driveserver.Action{Kind: driveserver.FaultKeepFewer, Bytes: unit}); a.code != 308 || a.header.Get("Range") != fmt.Sprintf("bytes=0-%d", unit-1) {
		t.Errorf("keep fewer: %d %v", a.code, a.header)
	}
	if a := send(to, driveserver.Action{Kind: driveserver.FaultHideRange}); a.code != 308 || a.header.Get("Range") != "" {
		t.Errorf("hide range: %d %v", a.code, a.header)
	}
	if a := d.raw("POST", to, "", "Content-Range", "bytes */*", "X-GUploader-No-308", "yes"); a.code != 200 || a.header.Get("X-HTTP-Status-Code-Override") != "308" {
		t.Errorf("Go's dialect: %d %v", a.code, a.header)
	}
	if a := send(to, driveserver.Action{Kind: driveserver.FaultLoseUpload, Code: 410}); a.code != 410 {
		t.Errorf("lose: %d", a.code)
	}
	if a := d.raw("PUT", to, "", "Content-Range", "bytes */*"); a.code != 404 {
		t.Errorf("a lost upload: %d", a.code)
	}
	to = begin()
	if a := d.raw("DELETE", to, ""); a.code != 204 {
		t.Errorf("cancel: %d", a.code)
	}
	if a := d.raw("PUT", to, "x", "Content-Range", "bytes 0-0/1"); a.code != 404 {
		t.Errorf("a cancelled upload: %d", a.code)
	}
}

func TestFaultsOfLists(t *testing.T) {
	t.Parallel()
	d := start(t)
	p := d.person("ada@example.org")
	from, err := p.Changes.GetStartPageToken().Do()
	if err != nil {
		t.Fatal(err)
	}
	a, b := p.folder("a"), p.folder("b")
	x := p.folder("x", a)
	p.folder("y", b)
	with := func(action driveserver.Action, method string, fn func()) {
		t.Helper()
		rule := d.spoil(driveserver.Rule{Method: method, Action: action})
		fn()
		if err := d.RemoveFault(rule); err != nil {
			t.Fatal(err)
		}
	}
	or := "('" + a + "' in parents or '" + b + "' in parents) and trashed=false"
	if n := p.count(or); n != 2 {
		t.Errorf("or-list: %d", n)
	}
	with(driveserver.Action{Kind: driveserver.FaultOrEmpty}, "files.list", func() {
		if n, m := p.count(or), p.count("'"+a+"' in parents"); n != 0 || m != 1 {
			t.Errorf("or-list with the bug: %d, a single parent %d", n, m)
		}
	})
	with(driveserver.Action{Kind: driveserver.FaultShortPage}, "files.list", func() {
		l, err := p.Files.List().Do()
		if err != nil || len(l.Files) != 0 || l.NextPageToken == "" {
			t.Errorf("an empty page: %+v %v", l, err)
		}
	})
	with(driveserver.Action{Kind: driveserver.FaultIncomplete}, "files.list", func() {
		if l, err := p.Files.List().Do(); err != nil || !l.IncompleteSearch {
			t.Errorf("%+v %v", l, err)
		}
	})
	l, err := p.Files.List().PageSize(1).Do()
	if err != nil {
		t.Fatal(err)
	}
	with(driveserver.Action{Kind: driveserver.FaultDeadToken, Bytes: 1}, "files.list", func() {
		_, err := p.Files.List().PageSize(1).PageToken(l.NextPageToken).Do()
		wantError(t, err, 400, "invalid")
	})
	d.clock.step(13 * time.Hour)
	p = d.signIn("ada@example.org")
	_, err = p.Files.List().PageSize(1).PageToken(l.NextPageToken).Do()
	wantError(t, err, 400, "invalid")
	with(driveserver.Action{Kind: driveserver.FaultTwice}, "changes.list", func() {
		if l, err := p.Changes.List(from.StartPageToken).Do(); err != nil || len(l.Changes) != 8 {
			t.Errorf("doubled: %+v %v", l, err)
		}
	})
	with(driveserver.Action{Kind: driveserver.FaultReverse}, "changes.list", func() {
		if l, err := p.Changes.List(from.StartPageToken).Do(); err != nil || l.Changes[3].FileId != a {
			t.Errorf("reversed: %+v %v", l, err)
		}
	})
	if _, err := p.Files.Update(x, &gdrive.File{Name: "z"}).Do(); err != nil {
		t.Fatal(err)
	}
	if l, err := p.Changes.List(from.StartPageToken).Do(); err != nil || len(l.Changes) != 4 {
		t.Errorf("collapsed: %+v %v", l, err)
	}
}

func TestFaultConditions(t *testing.T) {
	t.Parallel()
	d := start(t)
	ada, ben := d.person("ada@example.org"), d.person("ben@example.org")
	try := func(p *person) bool { _, err := p.Files.List().Q("name='needle'").Do(); return err == nil }
	rule := d.spoil(driveserver.Rule{User: "ben@example.org", Method: "files.*", Path: "/v3/files", Query: "name='needle'", Skip: 1, Count: 2, Action: driveserver.Action{Kind: driveserver.FaultError}})
	got := fmt.Sprint(try(ada), try(ben), try(ben), try(ben), try(ben))
	if got != "true true false false true" {
		t.Errorf("skip and count: %s", got)
	}
	if err := d.RemoveFault(rule); err != nil {
		t.Fatal(err)
	}
	d.spoil(driveserver.Rule{From: d.clock.now().Add(time.Minute), Until: d.clock.now().Add(2 * time.Minute), Action: driveserver.Action{Kind: driveserver.FaultError}})
	before := try(ada)
	d.clock.step(time.Minute)
	during := try(ada)
	d.clock.step(time.Minute)
	if after := try(ada); !before || during || !after {
		t.Errorf("window: %v %v %v", before, during, after)
	}
	if err := d.RemoveFault(""); err != nil {
		t.Fatal(err)
	}
	d.spoil(driveserver.Rule{Probability: 0.5, Seed: 7, Action: driveserver.Action{Kind: driveserver.FaultError}})
	dice := func() (s string) {
		for range 20 {
			s += fmt.Sprint(try(ada))[:1]
		}
		return s
	}
	first := dice()
	if !strings.Contains(first, "t") || !strings.Contains(first, "f") {
		t.Errorf("dice: %s", first)
	}
	if err := d.RemoveFault(""); err != nil {
		t.Fatal(err)
	}
	d.spoil(driveserver.Rule{Probability: 0.5, Seed: 7, Action: driveserver.Action{Kind: driveserver.FaultError}})
	if again := dice(); again != first {
		t.Errorf("the same seed, other dice: %s, %s", first, again)
	}
	for _, bad := range []driveserver.Rule{{}, {Action: driveserver.Action{Kind: "nothing"}}, {Method: "[", Action: driveserver.Action{Kind: "drop"}}, {Action: driveserver.Action{Kind: "error", Code: 200}}, {Probability: 2, Action: driveserver.Action{Kind: "drop"}}} {
		if _, err := d.AddFault(bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func TestStallEndsWithTheServer(t *testing.T) {
	t.Parallel()
	d := start(t)
	p := d.person("ada@example.org")
	d.spoil(driveserver.Rule{Method: "about.get", Action: driveserver.Action{Kind: driveserver.FaultStall}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := p.About.Get().Fields("user").Context(ctx).Do(); done <- err }()
	for d.Faults()[0].Fired == 0 { // until the request has arrived
		if _, err := p.Files.List().Do(); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("a stalled request was answered")
	}
}

func TestLateLists(t *testing.T) {
	t.Parallel()
	d := start(t)
	ada, ben := d.person("ada@example.org"), d.person("ben@example.org")
	dir := ada.folder("dir")
	old := ada.file("old", "x", dir)
	ada.share(dir, "ben@example.org", "reader")
	if err := d.SetSwitches(driveserver.Switches{Lag: driveserver.Lag{Names: 60_000, Parents: 10_000, Shared: 60_000, Changes: 30_000}}); err != nil {
		t.Fatal(err)
	}
	from, err := ben.Changes.GetStartPageToken().Do()
	if err != nil {
		t.Fatal(err)
	}
	d.clock.step(time.Hour - time.Second)
	ada, ben = d.signIn("ada@example.org"), d.signIn("ben@example.org")
	id := ada.file("new", "x", dir)
	if _, err := ada.Files.Update(old, &gdrive.File{Name: "renamed"}).Do(); err != nil {
		t.Fatal(err)
	}
	gone := ada.file("gone", "x", dir)
	if err := ada.Files.Delete(gone).Do(); err != nil {
		t.Fatal(err)
	}
	in := "'" + dir + "' in parents"
	check := func(when string, own, other, name, stale, feed int) {
		t.Helper()
		l, err := ben.Changes.List(from.StartPageToken).Do()
		if err != nil {
			t.Fatal(err)
		}
		got := []int{ada.count(in), ben.count(in), ada.count("name='new'"), ben.count("name='old'"), len(l.Changes)}
		if want := []int{own, other, name, stale, feed}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	check("at once", 2, 1, 0, 1, 0)
	if _, err := ben.Files.Get(id).Do(); err != nil {
		t.Errorf("by id nothing is late: %v", err)
	}
	d.clock.step(11 * time.Second)
	check("after 11 s", 2, 2, 0, 1, 0)
	d.clock.step(20 * time.Second)
	check("after 31 s", 2, 2, 0, 1, 3)
	d.clock.step(30 * time.Second)
	check("after 61 s", 2, 2, 1, 0, 3)
}

func TestClockOffset(t *testing.T) {
	t.Parallel()
	d := start(t)
	p := d.person("ada@example.org")
	if err := d.SetSwitches(driveserver.Switches{ClockOffset: 2 * 24 * 3600 * 1000}); err != nil {
		t.Fatal(err)
	}
	f, err := p.Files.Create(&gdrive.File{Name: "f"}).Fields("createdTime,modifiedTime").Do()
	if err != nil || f.CreatedTime != "2026-05-06T03:02:01.000Z" || f.ModifiedTime != f.CreatedTime {
		t.Errorf("%+v %v", f, err)
	}
	if got := f.Header.Get("Date"); got != "Wed, 06 May 2026 03:02:01 GMT" {
		t.Errorf("Date: %s", got)
	}
	d.restart()
	if d.Switches().ClockOffset == 0 {
		t.Error("the switches did not survive a restart")
	}
	if err := d.SetSwitches(driveserver.Switches{TokenLife: -1}); err == nil {
		t.Error("a negative life was taken")
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	d := start(t)
	ada, ben := d.person("ada@example.org"), d.person("ben@example.org")
	if err := d.SetSwitches(driveserver.Switches{UnitsPerMinute: 250}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := ada.Files.List().Do(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := ada.Files.List().Do()
	wantError(t, err, http.StatusForbidden, "userRateLimitExceeded")
	if _, err := ben.Files.List().Do(); err != nil {
		t.Errorf("another account: %v", err)
	}
	d.clock.step(time.Minute)
	if _, err := ada.Files.List().Do(); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}
