//go:build long

package integration

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestBadMessages: a third account, which Owen accepted, writes what no client writes straight to the Drive. Each is set aside with its
// reason, nothing of it comes into the tree, and the good messages before, between and after go through.
func TestBadMessages(t *testing.T) {
	t.Parallel()
	p := newPair(t, owenIsRoot)
	p.owen.start()
	u := p.drive.user(rowan)
	inbox, _ := u.request(owen)
	p.owen.until("Rowan asks", func() error { return p.owen.there(p.owen.peers("pending", rowan)) })
	p.owen.ok("peers", "accept", rowan, "--yes")
	mine := "app_data/job/inbox/" + rowan + "/"
	rules := "rules:\n- pattern: '**'\n  access:\n    write: ['" + rowan + "']\n"
	p.owen.write(p.owen.site("shelf", "syft.pub.yaml"), rules)

	good := func(n int) {
		u.post(inbox, n, seconds(), packed(t, proposal(t, rowan, change(n, fmt.Sprintf("%sgood/%d.txt", mine, n), "good", nil))))
	}
	n := 100
	good(n)
	zeros := func(size int64) io.Reader { return io.LimitReader(zero{}, size) }
	for _, bad := range []struct {
		what   string
		reason string // in the status
		body   []byte
	}{
		{"forged-sender", "sender", proposal(t, rachel, change(n, mine+"forged.txt", "forged", nil))},
		{"dots", "..", proposal(t, rowan, change(n, mine+"../../../../climbed.txt", "x", nil))},
		{"absolute", "path", proposal(t, rowan, change(n, "/tmp/absolute.txt", "x", nil))},
		{"private", "not exchanged", proposal(t, rowan, change(n, "private/read-me.txt", "x", nil))},
		{"not-granted", "allowed", proposal(t, rowan, change(n, "public/not-granted.txt", "x", nil))},
		{"of-another", rachel, proposal(t, rowan, change(n, "shelf/other.txt", "x", func(c map[string]any) { c["datasite_email"] = rachel }))},
		{"rules", "allowed", proposal(t, rowan, change(n, "shelf/syft.pub.yaml", "rules: []", func(c map[string]any) { c["old_hash"] = hash(rules) }))},
		{"wrong-hash", "hash", proposal(t, rowan, change(n, mine+"wrong-hash.txt", "x", func(c map[string]any) { c["new_hash"] = strings.Repeat("ab", 32) }))},
		{"no-base64", "base64", proposal(t, rowan, change(n, mine+"no-base64.txt", "%%%", func(c map[string]any) { c["content_type"] = "binary" }))},
		{"control-character", "name", proposal(t, rowan, change(n, mine+"a\x1b[2Jb.txt", "x", nil))},
		{"no-json", "JSON", []byte(`{"sender_email": `)},
		{"no-number", "JSON", bytes.Replace(proposal(t, rowan, change(n, mine+"no-number.txt", "x", func(c map[string]any) { c["submitted_timestamp"] = "NUMBER" })),
			[]byte(`"NUMBER"`), []byte("1e999x"), 1)},
		{"lone-surrogate", "", bytes.Replace(proposal(t, rowan, change(n, mine+"lone.txt", "HERE", nil)), []byte("HERE"), []byte(`\ud800`), 1)},
		{"deep", "", append(bytes.Repeat([]byte(`{"a":[`), 100_000), '1')},
		{"no-list", "", []byte(`{"sender_email": "` + rowan + `"}`)},
	} {
		n++
		name := u.post(inbox, n, seconds(), packed(t, bad.body))
		p.owen.isAside(rowan, name, bad.what, bad.reason)
		n++
		good(n)
	}
	for _, bad := range []struct {
		what, reason string
		archive      []byte
	}{
		{"bomb", "", packedFrom(t, 600<<20, zeros(600<<20))},
		{"two-gigabytes", "", packedFrom(t, 2<<30, zeros(4096))},
		{"no-gzip", "", []byte("this is no archive")},
		{"cut", "", packed(t, proposal(t, rowan, change(n, mine+"cut.txt", base64.StdEncoding.EncodeToString(make([]byte, 5000)), nil)))[:300]},
		{"empty", "", nil},
	} {
		n++
		name := u.post(inbox, n, seconds(), bad.archive)
		p.owen.isAside(rowan, name, bad.what, bad.reason)
		n++
		good(n)
	}
	// From a clock that is 30 years ahead: its time is not believed, the rest is taken; what comes later is not hidden by it.
	n++
	u.post(inbox, n, seconds()+946_080_000, packed(t, proposal(t, rowan, change(n, mine+"future.txt", "from the future", func(c map[string]any) {
		c["submitted_timestamp"] = seconds() + 946_080_000
	}))))
	p.owen.untilText(p.owen.site(mine+"future.txt"), "from the future")
	n++
	good(n)
	for i := 100; i <= n; i++ {
		if i%2 == 0 && i < n-1 || i == n {
			p.owen.untilText(p.owen.site(fmt.Sprintf("%sgood/%d.txt", mine, i)), "good")
		}
	}
	for _, file := range []string{mine + "forged.txt", "climbed.txt", "private/read-me.txt", "public/not-granted.txt", "shelf/other.txt", mine + "wrong-hash.txt",
		mine + "no-base64.txt", mine + "lone.txt", mine + "cut.txt", mine + "no-number.txt"} {
		if err := p.owen.gone(p.owen.site(file)); err != nil {
			t.Error(err)
		}
	}
	if got := p.owen.acts.read(p.owen.site("shelf", "syft.pub.yaml")); strings.Contains(got, "rules: []") {
		t.Error("a rule file was replaced by somebody who has no admin")
	}
	p.owen.until("the inbox is empty", func() error {
		if left := u.inside(inbox); len(left) > 0 {
			return fmt.Errorf("there are %v", left)
		}
		return nil
	})
	text := p.owen.ok("status")
	if !strings.Contains(text, "set aside") || strings.ContainsRune(text, '\x1b') {
		t.Errorf("status for people: %q", text)
	}
	p.owen.stop()
}

// isAside waits until a message was set aside with a reason.
func (e *end) isAside(peer, name, what, reason string) {
	e.t.Helper()
	e.until(what+" is set aside", func() error {
		st, err := e.status()
		if err != nil {
			return err
		}
		for _, a := range st.Exchange.Aside {
			if a.Name == name && a.Peer == peer {
				if a.Reason == "" || !strings.Contains(a.Reason, reason) {
					e.t.Errorf("%s is set aside because %q, which has no %q", what, a.Reason, reason)
				}
				return nil
			}
		}
		return fmt.Errorf("set aside are %+v", st.Exchange.Aside)
	})
}

type zero struct{}

func (zero) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// TestForeignInbox: an inbox and an outbox under Rachel's name, made by Rowan and shared with Owen, are not Rachel's.
func TestForeignInbox(t *testing.T) {
	t.Parallel()
	p := newPeers(t, owenIsRoot)
	u := p.drive.user(rowan)
	u.home = u.create("SyftBox", folderKind, "", nil)
	for i, kind := range []string{"inbox", "outbox"} {
		id := u.create(box(owen, kind, rachel), folderKind, u.home, nil)
		u.share(id, owen, "writer")
		u.post(id, 10+i, seconds(), packed(t, proposal(t, rachel, change(10+i, "app_data/job/inbox/"+rachel+"/foreign.txt", "not hers", nil))))
	}
	// A message of Rowan's in Rachel's real inbox, which he was let write to.
	hers := p.drive.user(rachel)
	real := hers.named(box(owen, "inbox", rachel))
	hers.share(real, rowan, "writer")
	forged := u.post(real, 20, seconds(), packed(t, proposal(t, rachel, change(20, "app_data/job/inbox/"+rachel+"/put-in.txt", "not hers", nil))))
	p.owen.isAside(rachel, forged, "a message that Rowan put into Rachel's inbox", rowan)

	p.rachel.submit(p.rachel.project("real"))
	p.owen.untilJob("real", "pending")
	for _, name := range []string{"foreign.txt", "put-in.txt"} {
		if err := p.owen.gone(p.owen.site("app_data/job/inbox", rachel, name)); err != nil {
			t.Error(err)
		}
	}
	for _, state := range []string{"pending", "accepted"} {
		if err := p.owen.gone(p.owen.peers(state, rowan)); err != nil {
			t.Errorf("Rowan became a peer: %v", err)
		}
	}
	if out := p.owen.ok("status"); !strings.Contains(out, rowan) {
		t.Errorf("the status does not tell whose the folders are: %s", out)
	}
}
