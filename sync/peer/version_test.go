package peer

import (
	"errors"
	"testing"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

// TestCompatibilityStatus is named after syft-client's own.
func TestCompatibilityStatus(t *testing.T) {
	for name, c := range map[string]struct {
		ours, theirs string
		want         Compat
		text         string
	}{
		"same_version":                 {"0.1.117", "0.1.117", Same, "same"},
		"patch_diff":                   {"0.1.117", "0.1.93", PatchDiffers, "patch_diff"},
		"minor_diff_is_incompatible":   {"0.1.117", "0.2.117", Incompatible, "incompatible"},
		"major_diff_is_incompatible":   {"0.1.117", "1.1.117", Incompatible, "incompatible"},
		"unknown_when_other_none":      {"0.1.117", "", Unknown, "unknown"},
		"what Python cannot compare":   {"0.1.117", "0.1.2b1", Unknown, "unknown"},
		"two numbers":                  {"0.1.117", "0.1", Unknown, "unknown"},
		"equal but not to be compared": {"x", "x", Unknown, "unknown"},
	} {
		if got := Compare(c.ours, c.theirs); got != c.want || got.String() != c.text {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestWhoIsExchangedWith: the columns of the table of versions, for a peer that is accepted.
func TestWhoIsExchangedWith(t *testing.T) {
	for name, c := range map[string]struct {
		theirs                 string
		skip, force            bool
		serve, follow, propose bool
		noted                  bool
	}{
		"same": {theirs: "0.1.117", serve: true, follow: true, propose: true},
		"patch_diff_do_explicit_false_does_not_skip":      {theirs: "0.1.116", serve: true, follow: true, propose: true, noted: true},
		"patch_diff_skips_in_sync_for_do_default":         {theirs: "0.1.116", skip: true, follow: true, propose: true, noted: true},
		"patch_diff_do_force_ignore_proceeds":             {theirs: "0.1.116", skip: true, force: true, serve: true, follow: true, propose: true},
		"incompatible_peer_skipped_by_default":            {theirs: "0.2.0", follow: true, noted: true},
		"force_allow_includes_incompatible_peer":          {theirs: "0.2.0", force: true, serve: true, follow: true, propose: true},
		"job_submission_blocked_without_version":          {theirs: "", follow: true, noted: true},
		"job_submission_allowed_with_force":               {theirs: "", force: true, serve: true, follow: true, propose: true},
		"a version that Python cannot compare is unknown": {theirs: "0.1.2b1", follow: true, noted: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			o := newSide(t, w, owen, func(cfg *Config) { cfg.SkipPatch = c.skip })
			r := w.Account(rachel)
			py := newPython(t, r, rachel, "0.1.117")
			body := []byte("{}")
			if c.theirs != "" {
				body = []byte(`{"syft_client_version": "` + c.theirs + `", "min_supported_syft_client_version": "0.1.93", "protocol_version": "9.0.0", "min_supported_protocol_version": "9.0.0"}`)
			}
			py.vfile = make1(t, r, py.top, versionFile, body)
			py.addPeer(owen)
			o.ok(o.feed())
			err := o.book.Accept(t.Context(), rachel, c.force)
			if wants := Compare("0.1.117", c.theirs) == Incompatible && !c.force; errors.Is(err, ErrVersion) != wants {
				t.Fatalf("accept: %v", err)
			}
			if err != nil { // it upgrades afterwards
				replace := func(body []byte) {
					content := remote.Bytes(body)
					o.ok(r.Update(t.Context(), py.vfile, remote.Edit{Body: &content}))
					o.ok(o.feed())
				}
				replace([]byte("{}"))
				o.ok(o.book.Accept(t.Context(), rachel, false))
				replace(body)
			}
			p := o.peer(rachel)
			if p.Serve != c.serve || p.Follow != c.follow || p.Propose != c.propose || (p.Note != "") != c.noted {
				t.Errorf("%+v", p)
			}
		})
	}
}

// TestVersionFollowsTheFile: version_upgrade_breaks_communication, and a version file that comes late, and one that goes.
func TestVersionFollowsTheFile(t *testing.T) {
	w := newWorld()
	o := newSide(t, w, owen)
	r := newSide(t, w, rachel)
	r.ok(r.book.Request(t.Context(), owen, false))
	o.ok(o.feed())
	o.ok(o.book.Accept(t.Context(), rachel, false))
	r.cfg.Version.Client = "1.0.0"
	r.start()
	r.ok(r.sweep()) // what is on Drive is brought up to date at the start
	o.ok(o.feed())
	if p := o.peer(rachel); p.Serve || p.Compat != Incompatible || p.Version.Client != "1.0.0" {
		t.Errorf("%+v", p)
	}
	r.cfg.Version.Client = "0.1.117"
	r.start()
	r.ok(r.sweep())
	o.ok(o.sweep()) // the feed is late
	if p := o.peer(rachel); !p.Serve || p.Compat != Same {
		t.Errorf("%+v", p)
	}
	o.ok(r.raw().Delete(t.Context(), r.book.rec.Files[versionFile]))
	o.ok(o.feed())
	if p := o.peer(rachel); p.Serve || p.Compat != Unknown {
		t.Errorf("%+v", p)
	}
}

// TestVersionBeforeTheRequest: the feed names the version file before the folders.
func TestVersionBeforeTheRequest(t *testing.T) {
	w := newWorld()
	o := newSide(t, w, owen)
	py := newPython(t, w.Account(rachel), rachel, "0.1.117")
	py.addPeer(owen)
	c, err := o.drive.Since(t.Context(), o.token, needed)
	o.ok(err)
	for i := len(c.Items) - 1; i >= 0; i-- {
		o.ok(o.book.Noticed(t.Context(), c.Items[i:i+1]))
	}
	if p := o.peer(rachel); p.Compat != Same || p.Inbox == "" || p.Outbox == "" {
		t.Errorf("%+v", p)
	}
}

func TestAdvertised(t *testing.T) {
	w := newWorld()
	for _, bad := range []wire.VersionInfo{{}, {Client: "0.1.2b1"}, {Client: "0.1.117"}} {
		s := newSide(t, w, owen)
		cfg := s.cfg
		cfg.Version = bad
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v is advertised", bad)
		}
	}
	o, r := pairUp(t, w)
	if v, err := newPythonOn(t, r.raw(), rachel).versionOf(string(o.cfg.Me)); err != nil || v.Syftfs != "0.5.0" || v.Client != "0.1.117" || v.MinClient != wire.MinClient || !v.Updated.Equal(clock()) {
		t.Errorf("%+v, %v", v, err)
	}
	if p := o.peer(rachel); p.User != perm.User(rachel) || !p.Syftfs {
		t.Errorf("%+v", p)
	}
}
