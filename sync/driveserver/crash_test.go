package driveserver_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openmined/syftfs/sync/driveserver"
	gdrive "google.golang.org/api/drive/v3"
	"google.golang.org/api/googleapi"
)

// failer fails one step, once.
type failer struct {
	mu   sync.Mutex
	step string
	skip int
	hit  bool
}

func (f *failer) arm(step string, skip int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.step, f.skip, f.hit = step, skip, false
}

func (f *failer) fired() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hit
}

func (f *failer) Before(op string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hit || op != f.step {
		return nil
	}
	if f.skip--; f.skip >= 0 {
		return nil
	}
	f.hit = true
	return errors.New("injected at " + op)
}

// TestCrashPoints fails every step of a write, opens the store again as after a kill, and looks for halves: a file that is there has its
// bytes and its entry in the feed; a repeated create with the same id makes no second one; the store is sound.
func TestCrashPoints(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"blob:write", "blob:sync", "blob:rename", "meta:commit", "meta:done", "upload:keep"} {
		for _, resumable := range []bool{false, true} {
			if step == "upload:keep" && !resumable || resumable && (step == "blob:write" || step == "blob:sync") {
				continue // not a step of that kind of upload
			}
			t.Run(fmt.Sprint(step, resumable), func(t *testing.T) {
				t.Parallel()
				f := &failer{}
				d := &drive{t: t, dir: t.TempDir(), clock: newClock(), fault: f}
				d.open()
				t.Cleanup(func() { d.close() })
				p := d.person("ada@example.org")
				ids, err := p.Files.GenerateIds().Count(1).Do()
				if err != nil {
					t.Fatal(err)
				}
				from, err := p.Changes.GetStartPageToken().Do()
				if err != nil {
					t.Fatal(err)
				}
				body := strings.Repeat("0123456789", 60_000)
				create := func() error {
					chunk := 0
					if resumable {
						chunk = 256 << 10
					}
					_, err := p.Files.Create(&gdrive.File{Id: ids.Ids[0], Name: "f"}).Media(strings.NewReader(body), googleapi.ChunkSize(chunk), googleapi.ChunkRetryDeadline(time.Millisecond)).Do()
					return err
				}
				skip := 0
				if resumable && strings.HasPrefix(step, "meta:") {
					skip = 3 // the start and two chunks pass
				}
				f.arm(step, skip)
				first := create()
				if !f.fired() {
					t.Fatal("the step was not met")
				}
				d.restart()
				p.connect()
				there := p.count("name='f'") == 1
				if first == nil && !there {
					t.Error("an acknowledged write is gone")
				}
				if err := create(); there {
					wantError(t, err, 409, "fileIdInUse")
				} else if err != nil {
					t.Errorf("again: %v", err)
				}
				if got, err := p.content(ids.Ids[0]); err != nil || got != body {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				if l, err := p.Changes.List(from.StartPageToken).Do(); err != nil || len(l.Changes) != 1 || p.count("") != 1 {
					t.Errorf("feed: %+v %v", l, err)
				}
				if problems, err := d.Check(t.Context()); err != nil || len(problems) > 0 {
					t.Errorf("%v %v", problems, err)
				}
			})
		}
	}
}

func TestSurvivesRestart(t *testing.T) {
	t.Parallel()
	d := start(t)
	ada, ben := d.person("ada@example.org"), d.person("ben@example.org")
	ids, err := ada.Files.GenerateIds().Count(1).Do()
	if err != nil {
		t.Fatal(err)
	}
	dir := ada.folder("dir")
	pid := ada.share(dir, "ben@example.org", "writer")
	kept := ada.file("kept", "kept", dir)
	for i := range 5 {
		ada.folder(fmt.Sprint(i), dir)
	}
	from, err := ben.Changes.GetStartPageToken().Do()
	if err != nil {
		t.Fatal(err)
	}
	page, err := ada.Files.List().Q("'" + dir + "' in parents").PageSize(2).Do()
	if err != nil {
		t.Fatal(err)
	}
	late := ada.file("late", "x", dir)
	stats := d.Stats()["ada@example.org"]
	d.restart()
	ada.connect()
	ben.connect()
	if got, err := ben.content(kept); got != "kept" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if l, err := ben.Changes.List(from.StartPageToken).Do(); err != nil || len(l.Changes) != 1 || l.Changes[0].FileId != late {
		t.Errorf("feed: %+v %v", l, err)
	}
	if _, err := ada.Files.List().Q("'" + dir + "' in parents").PageSize(2).PageToken(page.NextPageToken).Do(); err != nil {
		t.Errorf("page token: %v", err)
	}
	if _, err := ada.Files.Create(&gdrive.File{Id: ids.Ids[0]}).Do(); err != nil {
		t.Errorf("generated id: %v", err)
	}
	if g, err := ada.Permissions.Get(dir, pid).Do(); err != nil || g.Role != "writer" {
		t.Errorf("%+v %v", g, err)
	}
	if got := d.Stats()["ada@example.org"]; got.Units <= stats.Units || got.Requests["files.create"] <= stats.Requests["files.create"]-1 {
		t.Errorf("counts: %+v, before %+v", got, stats)
	}
	if _, err := driveserver.Open(driveserver.Config{Dir: d.dir}); !errors.Is(err, driveserver.ErrInUse) {
		t.Errorf("a second server on the store: %v", err)
	}
}

func TestCheckAndSweep(t *testing.T) {
	t.Parallel()
	d := start(t)
	p := d.person("ada@example.org")
	p.file("a", "first")
	p.file("b", "second")
	var blobs []string
	err := filepath.WalkDir(filepath.Join(d.dir, "blobs"), func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			blobs = append(blobs, path)
		}
		return err
	})
	if err != nil || len(blobs) != 2 {
		t.Fatalf("%v %v", blobs, err)
	}
	if err := os.WriteFile(blobs[0], []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(blobs[1]); err != nil {
		t.Fatal(err)
	}
	stray := filepath.Join(d.dir, "blobs", "ab", strings.Repeat("cd", 31))
	if err := os.MkdirAll(filepath.Dir(stray), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{stray, filepath.Join(d.dir, "tmp", "left"), filepath.Join(d.dir, "uploads", "left")} {
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	problems, err := d.Check(t.Context())
	if err != nil || len(problems) != 3 {
		t.Errorf("%v %v", problems, err)
	}
	d.restart()
	for _, f := range []string{stray, filepath.Join(d.dir, "tmp", "left"), filepath.Join(d.dir, "uploads", "left")} {
		if _, err := os.Stat(f); err == nil {
			t.Errorf("%s was not swept", f)
		}
	}
}

func TestContentsAreSharedAndDropped(t *testing.T) {
	t.Parallel()
	d := start(t)
	p := d.person("ada@example.org")
	count := func() (n int) {
		_ = filepath.WalkDir(filepath.Join(d.dir, "blobs"), func(_ string, e os.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				n++
			}
			return err
		})
		return n
	}
	a, b := p.file("a", "same"), p.file("b", "same")
	if n := count(); n != 1 {
		t.Errorf("%d contents, want 1", n)
	}
	for _, id := range []string{a, b} {
		if got, err := p.content(id); got != "same" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		if err := p.Files.Delete(id).Do(); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(); n != 0 {
		t.Errorf("%d contents, want none", n)
	}
	// Refused after the content arrived: it goes too.
	if _, err := p.Files.Create(&gdrive.File{Name: "x", AppProperties: map[string]string{"k": strings.Repeat("v", 200)}}).Media(strings.NewReader("refused")).Do(); err == nil {
		t.Error("a property of 200 bytes was taken")
	}
	if n := count(); n != 0 {
		t.Errorf("%d contents after a refusal", n)
	}
}

func TestStorageLimit(t *testing.T) {
	t.Parallel()
	d := start(t)
	ada := d.person("ada@example.org")
	if err := d.SetLimit("ada@example.org", 10); err != nil {
		t.Fatal(err)
	}
	id := ada.file("f", "12345678")
	_, err := ada.Files.Create(&gdrive.File{Name: "g"}).Media(strings.NewReader("123")).Do()
	wantError(t, err, 403, "storageQuotaExceeded")
	if _, err := ada.Files.Update(id, nil).Media(strings.NewReader("1234567890")).Do(); err != nil {
		t.Errorf("up to the limit: %v", err)
	}
	if a := ada.raw("POST", "/upload/drive/v3/files?uploadType=resumable", "{}", "X-Upload-Content-Length", "1"); a.code != 403 || a.reason(t) != "storageQuotaExceeded" {
		t.Errorf("at the start: %d %s", a.code, a.body)
	}
	about, err := ada.About.Get().Fields("storageQuota").Do()
	if err != nil || about.StorageQuota.Limit != 10 || about.StorageQuota.Usage != 10 {
		t.Errorf("%+v %v", about, err)
	}
}
