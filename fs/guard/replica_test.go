package guard

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// In a replica the owner of this datasite may read what was delivered and change what delivered rules grant; nobody else knows of it.
func TestAReplicaGrantsWhatItsRulesSay(t *testing.T) {
	w := newWorld(t)
	there := func(rel string) datasite.Path { return datasite.Path{Owner: peer, Rel: rel} }
	put(t, filepath.Join(w.dir, string(peer)), map[string]string{
		"shared/syft.pub.yaml": `rules:
- {pattern: "new/**", access: {create: [owner@x.org]}, limits: {maxFileSize: 5}}
- {pattern: "ours/**", access: {write: [owner@x.org]}}
- {pattern: "closed", access: {}}
`,
		"shared/new/old": "old", "shared/ours/f": "f", "shared/ours/d/f": "f", "shared/closed": "closed",
		"app_data/job/syft.pub.yaml": "rules: [{pattern: '**', access: {admin: [owner@x.org]}}]", "app_data/job/inbox/f": "f",
	})
	v, ctx := w.views[owner], t.Context()
	open := func(rel string, flag int) string {
		f, err := v.Open(ctx, there(rel), flag, 0o644)
		if err == nil {
			err = f.Close()
		}
		return errno(err)
	}
	for _, c := range []struct {
		what string
		got  string
		want string
	}{
		{"read what no rule names", open("shared/closed", rd), "ok"},
		{"write it", open("shared/closed", wr), "EACCES"},
		{"write where nothing speaks", open("public/data", wr), "EACCES"},
		{"write", open("shared/ours/f", wr), "ok"},
		{"create where write is held", open("shared/ours/n", wr|creat), "ok"},
		{"create", open("shared/new/n", wr|creat|excl), "ok"},
		{"write where create is held", open("shared/new/old", wr), "EACCES"},
		{"rules", open("shared/syft.pub.yaml", wr), "EACCES"},
		{"rules in a folder that may be written", open("shared/ours/syft.pub.yaml", wr|creat), "EACCES"},
		{"jobs, whatever the rules say", open("app_data/job/inbox/f", wr), "EACCES"},
		{"a new job", open("app_data/job/inbox/n", wr|creat), "EACCES"},
		{"rename", errno(v.Rename(ctx, there("shared/ours/d"), there("shared/ours/e"), 0)), "ok"},
		{"rename to where create is held", errno(v.Rename(ctx, there("shared/ours/e"), there("shared/new/e"), 0)), "ok"},
		{"rename from there", errno(v.Rename(ctx, there("shared/new/e"), there("shared/ours/e"), 0)), "EACCES"},
		{"remove", errno(v.Remove(ctx, there("shared/ours/f"))), "ok"},
		{"remove all", errno(v.RemoveAll(ctx, there("shared/ours"))), "EACCES"},
		{"beyond the limit", errno(v.Write(ctx, there("shared/new/big"), []byte("sixsix"))), "EFBIG"},
		{"link", func() string { _, err := v.Symlink(ctx, there("shared/ours/l"), "n"); return errno(err) }(), "EPERM"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.what, c.got, c.want)
		}
	}
	for rel, want := range map[string]string{
		"shared": "dr-xr-xr-x", "shared/closed": "-r--r--r--", "shared/new": "drwxr-xr-x", "shared/new/old": "-r--r--r--", "shared/ours": "drwxr-xr-x",
		"shared/ours/n": "-rw-r--r--", "shared/syft.pub.yaml": "-r--r--r--", "app_data/job/inbox/f": "-r--r--r--", "public/data": "-r--r--r--",
	} {
		e, err := v.Stat(ctx, there(rel))
		must(t, err)
		if e.Mode.String() != want {
			t.Errorf("%s has mode %v, want %s", rel, e.Mode, want)
		}
	}
	d, err := v.Explain(ctx, owner, there("shared/new/old"), perm.Write)
	must(t, err)
	if text := d.Explain(); !strings.Contains(text, "Pattern 'new/**' matched") || !strings.Contains(text, "Delivered by peer@y.org") {
		t.Errorf("explained as:\n%s", text)
	}
	if _, err := w.views[admin].Stat(ctx, there("shared/ours/n")); errno(err) != "ENOENT" {
		t.Errorf("another view: %v", err)
	}

	// Its rules are renewed by a delivery: an open file is asked about again, and every kernel is told.
	f, err := v.Open(ctx, there("shared/ours/n"), unix.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("x"), 0)
	must(t, err)
	w.kernels[owner].take()
	put(t, filepath.Join(w.dir, string(peer)), map[string]string{"shared/syft.pub.yaml": closedRules})
	w.g.Changed(there("shared/syft.pub.yaml"))
	if got := w.kernels[owner].take(); !strings.HasSuffix(got, "*") {
		t.Errorf("the owner's kernel was told %q", got)
	}
	if _, err := f.WriteAt([]byte("x"), 0); errno(err) != "EACCES" {
		t.Errorf("write after the right went: %v", err)
	}
	if s, err := read(f); s != "x" || err != nil {
		t.Errorf("read after it went: %q, %v", s, err)
	}
	must(t, f.Close())
}
