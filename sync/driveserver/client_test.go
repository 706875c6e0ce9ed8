package driveserver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	gdrive "google.golang.org/api/drive/v3"
	"google.golang.org/api/googleapi"
)

func reasonOf(t *testing.T, err error) (int, string) {
	t.Helper()
	var e *googleapi.Error
	if !errors.As(err, &e) {
		t.Fatalf("not an API error: %v", err)
	}
	if len(e.Errors) == 0 {
		t.Fatalf("error without reason: %v", err)
	}
	return e.Code, e.Errors[0].Reason
}

func wantError(t *testing.T, err error, code int, reason string) {
	t.Helper()
	if c, r := reasonOf(t, err); c != code || r != reason {
		t.Errorf("got %d %s, want %d %s", c, r, code, reason)
	}
}

func TestGoClientUploads(t *testing.T) {
	t.Parallel()
	p := start(t).person("ada@example.org")
	const chunk = 256 << 10
	for _, c := range []struct {
		name  string
		size  int
		chunk int
	}{{"empty", 0, 0}, {"one byte", 1, 0}, {"multipart", 100_000, 0}, {"below a chunk", chunk - 1, chunk}, {"a chunk", chunk, chunk},
		{"above a chunk", chunk + 1, chunk}, {"exact multiple", 2 * chunk, chunk}, {"several", 5*chunk/2 + 7, chunk}} {
		t.Run(c.name, func(t *testing.T) {
			body := bytes.Repeat([]byte("0123456789abcdef"), c.size/16+1)[:c.size]
			f, err := p.Files.Create(&gdrive.File{Name: c.name}).Media(io.MultiReader(bytes.NewReader(body)), googleapi.ChunkSize(c.chunk)).
				Fields("id,name,size,md5Checksum,sha256Checksum,mimeType,parents").Do()
			if err != nil {
				t.Fatal(err)
			}
			if f.Size != int64(c.size) || f.Name != c.name || len(f.Parents) != 1 || len(f.Sha256Checksum) != 64 {
				t.Errorf("got %+v", f)
			}
			got, err := p.content(f.Id)
			if err != nil || got != string(body) {
				t.Errorf("content of %d bytes: %d bytes, %v", c.size, len(got), err)
			}
			again, err := p.Files.Update(f.Id, nil).Media(strings.NewReader("new")).Fields("id,size,headRevisionId").Do()
			if err != nil || again.Id != f.Id || again.Size != 3 {
				t.Errorf("update: %+v, %v", again, err)
			}
		})
	}
}

func TestGoClientRoundTrip(t *testing.T) {
	t.Parallel()
	p := start(t).person("ada@example.org")
	about, err := p.About.Get().Fields("user,storageQuota").Do()
	if err != nil || about.User.EmailAddress != "ada@example.org" || !about.User.Me {
		t.Fatalf("about: %+v, %v", about, err)
	}
	if _, err := p.About.Get().Do(); err == nil {
		t.Error("about without fields passed")
	}
	ids, err := p.Files.GenerateIds().Count(3).Do()
	if err != nil || len(ids.Ids) != 3 {
		t.Fatalf("ids: %+v, %v", ids, err)
	}
	dir := p.folder("box")
	f, err := p.Files.Create(&gdrive.File{Id: ids.Ids[0], Name: "a.txt", Parents: []string{dir}, AppProperties: map[string]string{"k": "v"}}).
		Media(strings.NewReader("hello")).Fields("*").Do()
	if err != nil || f.Id != ids.Ids[0] || f.Parents[0] != dir || f.AppProperties["k"] != "v" || !f.OwnedByMe || f.Capabilities == nil || !f.Capabilities.CanDelete {
		t.Fatalf("create: %+v, %v", f, err)
	}
	_, err = p.Files.Create(&gdrive.File{Id: ids.Ids[0], Name: "a.txt", Parents: []string{dir}}).Media(strings.NewReader("hello")).Do()
	wantError(t, err, 409, "fileIdInUse")
	_, err = p.Files.Create(&gdrive.File{Id: "1" + strings.Repeat("x", 32), Name: "a.txt"}).Do()
	wantError(t, err, 400, "invalid")

	list, err := p.Files.List().Q("'" + dir + "' in parents and trashed=false").Fields("files(id,name,size)").Do()
	if err != nil || len(list.Files) != 1 || list.Files[0].Size != 5 {
		t.Fatalf("list: %+v, %v", list, err)
	}
	other := p.folder("other")
	moved, err := p.Files.Update(f.Id, &gdrive.File{Name: "b.txt"}).AddParents(other).RemoveParents(dir).Fields("id,name,parents").Do()
	if err != nil || moved.Name != "b.txt" || !slices.Equal(moved.Parents, []string{other}) {
		t.Fatalf("move: %+v, %v", moved, err)
	}
	_, err = p.Files.Update(f.Id, &gdrive.File{}).AddParents(dir).Do()
	wantError(t, err, 403, "cannotAddParent")
	copied, err := p.Files.Copy(f.Id, &gdrive.File{Name: "c.txt"}).Fields("id,name,md5Checksum,parents,modifiedTime").Do()
	if err != nil || copied.Md5Checksum != f.Md5Checksum || copied.Parents[0] != other {
		t.Fatalf("copy: %+v, %v", copied, err)
	}
	if err := p.Files.Delete(f.Id).Do(); err != nil {
		t.Fatal(err)
	}
	_, err = p.Files.Get(f.Id).Do()
	wantError(t, err, 404, "notFound")
	if got, err := p.content(copied.Id); err != nil || got != "hello" {
		t.Errorf("the copy after its source was deleted: %q, %v", got, err)
	}
	if _, err := p.Files.Update(copied.Id, &gdrive.File{Trashed: true}).Do(); err != nil {
		t.Fatal(err)
	}
	if err := p.Files.EmptyTrash().Do(); err != nil {
		t.Fatal(err)
	}
	_, err = p.Files.Get(copied.Id).Do()
	wantError(t, err, 404, "notFound")
}

func TestGoClientRanges(t *testing.T) {
	t.Parallel()
	p := start(t).person("ada@example.org")
	id := p.file("digits", "0123456789")
	empty := p.file("empty", "")
	for _, c := range []struct {
		id, header, body, contentRange string
		code                           int
	}{
		{id, "", "0123456789", "", 200}, {id, "bytes=2-4", "234", "bytes 2-4/10", 206}, {id, "bytes=7-", "789", "bytes 7-9/10", 206},
		{id, "bytes=-3", "789", "bytes 7-9/10", 206}, {id, "bytes=-30", "0123456789", "bytes 0-9/10", 206}, {id, "bytes=8-99", "89", "bytes 8-9/10", 206},
		{id, "bytes=10-", "", "bytes */10", 416}, {id, "bytes=0-1,4-5", "0123456789", "", 200}, {id, "bytes=5-2", "0123456789", "", 200},
		{id, "bytes=a-b", "0123456789", "", 200}, {empty, "bytes=0-10485759", "", "bytes */0", 416}, {empty, "", "", "", 200},
		{id, "bytes=0-18446744073709551615", "0123456789", "", 200}, {id, "bytes=-0", "", "bytes */10", 416},
	} {
		call := p.Files.Get(c.id)
		if c.header != "" {
			call.Header().Set("Range", c.header)
		}
		resp, err := call.Download()
		if c.code == 416 {
			var e *googleapi.Error
			if !errors.As(err, &e) || e.Code != 416 || e.Header.Get("Content-Range") != c.contentRange {
				t.Errorf("%s: %v", c.header, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.header, err)
			continue
		}
		raw, err := io.ReadAll(resp.Body)
		if err != nil || string(raw) != c.body || resp.StatusCode != c.code || resp.Header.Get("Content-Range") != c.contentRange {
			t.Errorf("%s: %d %q %q %v", c.header, resp.StatusCode, raw, resp.Header.Get("Content-Range"), err)
		}
		_ = resp.Body.Close()
	}
}

func TestGoClientPages(t *testing.T) {
	t.Parallel()
	p := start(t).person("ada@example.org")
	dir := p.folder("many")
	const n = 250
	for i := range n {
		p.folder(fmt.Sprintf("f%03d", i), dir)
	}
	for _, order := range []string{"", "name", "name desc", "createdTime,name", "folder,modifiedTime desc,name_natural"} {
		seen := map[string]int{}
		pages := 0
		err := p.Files.List().Q("'"+dir+"' in parents").OrderBy(order).PageSize(60).Fields("nextPageToken,files(id,name)").Pages(context.Background(), func(l *gdrive.FileList) error {
			pages++
			for _, f := range l.Files {
				seen[f.Id]++
			}
			return nil
		})
		if err != nil || len(seen) != n || pages != 5 {
			t.Errorf("order %q: %d items on %d pages, %v", order, len(seen), pages, err)
		}
	}
	l, err := p.Files.List().Q("'" + dir + "' in parents").Fields("files(id)").Do()
	if err != nil || len(l.Files) != 100 || l.NextPageToken != "" {
		t.Errorf("a list that does not ask for the token: %d, %q, %v", len(l.Files), l.NextPageToken, err)
	}
	l, err = p.Files.List().Q("'" + dir + "' in parents").PageSize(5).Do()
	if err != nil || l.NextPageToken == "" || l.Files[0].Kind != "drive#file" || l.Files[0].CreatedTime != "" {
		t.Errorf("default fields: %+v, %v", l, err)
	}
	_, err = p.Files.List().Q("'root' in parents").PageSize(5).PageToken(l.NextPageToken).Do()
	wantError(t, err, 400, "invalid")
}

func TestGoClientPermissionsAndChanges(t *testing.T) {
	t.Parallel()
	d := start(t)
	ada, ben := d.person("ada@example.org"), d.person("ben@example.org")
	startAda, err := ada.Changes.GetStartPageToken().Do()
	if err != nil {
		t.Fatal(err)
	}
	startBen, err := ben.Changes.GetStartPageToken().Do()
	if err != nil {
		t.Fatal(err)
	}
	dir := ada.folder("shared")
	id := ada.file("x", "1", dir)
	if _, err := ben.Files.Get(id).Do(); err == nil {
		t.Fatal("ben sees what nobody shared")
	}
	pid := ada.share(dir, "ben@example.org", "writer")
	f, err := ben.Files.Get(id).Fields("id,parents,owners(emailAddress),ownedByMe,capabilities(canEdit,canDelete)").Do()
	if err != nil || f.OwnedByMe || f.Parents[0] != dir || !f.Capabilities.CanEdit || f.Capabilities.CanDelete {
		t.Fatalf("%+v, %v", f, err)
	}
	perms, err := ada.Permissions.List(id).Fields("permissions(id,role,emailAddress,permissionDetails)").Do()
	if err != nil || len(perms.Permissions) != 2 || perms.Permissions[0].Role != "owner" || !perms.Permissions[1].PermissionDetails[0].Inherited {
		t.Fatalf("%+v, %v", perms, err)
	}
	wantError(t, ada.Permissions.Delete(id, pid).Do(), 403, "cannotDeleteInheritedPermission")
	wantError(t, ben.Files.Delete(id).Do(), 403, "insufficientFilePermissions")

	changed := func(p *person, from string) (ids map[string]bool, next string) {
		ids = map[string]bool{}
		for {
			l, err := p.Changes.List(from).Fields("nextPageToken,newStartPageToken,changes(fileId,removed,file(id,name,trashed))").Do()
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range l.Changes {
				ids[c.FileId] = c.Removed
			}
			if l.NextPageToken == "" {
				return ids, l.NewStartPageToken
			}
			from = l.NextPageToken
		}
	}
	got, next := changed(ben, startBen.StartPageToken)
	if len(got) != 2 || got[dir] || got[id] {
		t.Errorf("ben's feed: %v", got)
	}
	if got, _ := changed(ada, startAda.StartPageToken); len(got) != 2 {
		t.Errorf("ada's feed: %v", got)
	}
	if err := ada.Permissions.Delete(dir, pid).Do(); err != nil {
		t.Fatal(err)
	}
	got, next = changed(ben, next)
	if len(got) != 2 || !got[dir] || !got[id] {
		t.Errorf("ben's feed after the grant was taken away: %v", got)
	}
	if got, _ := changed(ben, next); len(got) != 0 {
		t.Errorf("ben's feed has more: %v", got)
	}
	_, err = ben.Changes.List("99999").Do()
	wantError(t, err, 400, "invalid")
}

func TestConcurrentCreates(t *testing.T) {
	t.Parallel()
	p := start(t).person("ada@example.org")
	ids, err := p.Files.GenerateIds().Count(50).Do()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, id := range ids.Ids {
		for range 2 { // each twice: exactly one may pass
			wg.Go(func() {
				_, err := p.Files.Create(&gdrive.File{Id: id, Name: "n"}).Media(strings.NewReader("same bytes")).Do()
				var e *googleapi.Error
				if err != nil && (!errors.As(err, &e) || e.Code != http.StatusConflict) {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	l, err := p.Files.List().PageSize(1000).Q("name='n'").Do()
	if err != nil || len(l.Files) != 50 {
		t.Errorf("%d files, %v", len(l.Files), err)
	}
	if problems, err := p.d.Check(context.Background()); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
