package driveserver_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	gdrive "google.golang.org/api/drive/v3"
)

// TestRights is the table of who may do what: each role, held directly and through the folder, against each action.
func TestRights(t *testing.T) {
	t.Parallel()
	d := start(t)
	owner, other := d.person("owner@example.org"), d.person("other@example.org")
	roles := []string{"none", "reader", "commenter", "writer", "owner"}
	actions := []struct {
		name, verb, path, body string
		codes                  [5]int // by role
	}{
		{"get", "GET", "/drive/v3/files/ID", "", [5]int{404, 200, 200, 200, 200}},
		{"download", "GET", "/drive/v3/files/ID?alt=media", "", [5]int{404, 200, 200, 200, 200}},
		{"copy", "POST", "/drive/v3/files/ID/copy", "", [5]int{404, 200, 200, 200, 200}},
		{"star", "PATCH", "/drive/v3/files/ID", `{"starred":true}`, [5]int{404, 200, 200, 200, 200}},
		{"rename", "PATCH", "/drive/v3/files/ID", `{"name":"x"}`, [5]int{404, 403, 403, 200, 200}},
		{"write", "PATCH", "/upload/drive/v3/files/ID?uploadType=media", "new", [5]int{404, 403, 403, 200, 200}},
		{"write in pieces", "PATCH", "/upload/drive/v3/files/ID?uploadType=resumable", "", [5]int{404, 403, 403, 200, 200}},
		{"revisions", "GET", "/drive/v3/files/ID/revisions", "", [5]int{404, 403, 403, 200, 200}},
		{"permissions", "GET", "/drive/v3/files/ID/permissions", "", [5]int{404, 403, 403, 200, 200}},
		{"share", "POST", "/drive/v3/files/ID/permissions", `{"type":"anyone","role":"reader"}`, [5]int{404, 403, 403, 200, 200}},
		{"trash", "PATCH", "/drive/v3/files/ID", `{"trashed":true}`, [5]int{404, 403, 403, 403, 200}},
		{"forbid copies", "PATCH", "/drive/v3/files/ID", `{"copyRequiresWriterPermission":true}`, [5]int{404, 403, 403, 403, 200}},
		{"give away", "POST", "/drive/v3/files/ID/permissions?transferOwnership=true", `{"type":"user","role":"owner","emailAddress":"other@example.org"}`, [5]int{404, 403, 403, 403, 200}},
		{"delete", "DELETE", "/drive/v3/files/ID", "", [5]int{404, 403, 403, 403, 204}},
	}
	for r, name := range roles {
		for _, direct := range []bool{true, false} {
			if name == "owner" && !direct {
				continue
			}
			for _, a := range actions {
				t.Run(fmt.Sprint(name, "/", direct, "/", a.name), func(t *testing.T) {
					dir := owner.folder("dir")
					who := other
					if name == "owner" {
						who = owner
					}
					id := owner.file("f", "x", dir)
					switch {
					case name == "none" || name == "owner":
					case direct:
						owner.share(id, "other@example.org", name)
					default:
						owner.share(dir, "other@example.org", name)
					}
					got := who.raw(a.verb, strings.ReplaceAll(a.path, "ID", id), a.body, "Content-Type", "application/json")
					if got.code != a.codes[r] {
						t.Fatalf("got %d, want %d: %s", got.code, a.codes[r], got.body)
					}
					if want := map[int]string{403: "insufficientFilePermissions", 404: "notFound"}[got.code]; want != "" && got.reason(t) != want {
						t.Errorf("reason %s, want %s", got.reason(t), want)
					}
				})
			}
		}
	}
}

func TestSpecialRights(t *testing.T) {
	t.Parallel()
	d := start(t)
	ada, ben, cem := d.person("ada@example.org"), d.person("ben@example.org"), d.person("cem@elsewhere.example")
	dir := ada.folder("dir")
	id := ada.file("f", "x", dir)
	grant := func(id string, p *gdrive.Permission) error {
		_, err := ada.Permissions.Create(id, p).Do()
		return err
	}
	t.Run("a link opens by id, and is in no list", func(t *testing.T) {
		if err := grant(dir, &gdrive.Permission{Type: "anyone", Role: "reader"}); err != nil {
			t.Fatal(err)
		}
		if got, err := ben.content(id); got != "x" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		if n := ben.count(""); n != 0 {
			t.Errorf("%d in the list", n)
		}
		if n := ada.count("visibility='anyoneWithLink'"); n != 2 {
			t.Errorf("visibility: %d", n)
		}
		if err := ada.Permissions.Delete(dir, "anyoneWithLink").Do(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a domain", func(t *testing.T) {
		if err := grant(id, &gdrive.Permission{Type: "domain", Role: "reader", Domain: "Elsewhere.example"}); err != nil {
			t.Fatal(err)
		}
		if _, err := cem.Files.Get(id).Do(); err != nil {
			t.Error(err)
		}
		if _, err := ben.Files.Get(id).Do(); err == nil {
			t.Error("ben is of another domain")
		}
	})
	t.Run("a grant ends", func(t *testing.T) {
		end := d.clock.now().AddDate(0, 0, 1).Format("2006-01-02T15:04:05Z")
		if err := grant(id, &gdrive.Permission{Type: "user", Role: "reader", EmailAddress: "ben@example.org", ExpirationTime: end}); err != nil {
			t.Fatal(err)
		}
		if _, err := ben.Files.Get(id).Do(); err != nil {
			t.Error(err)
		}
		d.clock.step(25 * 3600 * 1e9)
		ada, ben, cem = d.signIn("ada@example.org"), d.signIn("ben@example.org"), d.signIn("cem@elsewhere.example")
		if _, err := ben.Files.Get(id).Do(); err == nil {
			t.Error("the grant went on")
		}
	})
	t.Run("limited access cuts what comes from above", func(t *testing.T) {
		ada.share(dir, "ben@example.org", "writer")
		inner := ada.folder("inner", dir)
		f := ada.file("secret", "x", inner)
		if _, err := ben.Files.Get(f).Do(); err != nil {
			t.Fatal(err)
		}
		if _, err := ada.Files.Update(inner, &gdrive.File{InheritedPermissionsDisabled: true}).Do(); err != nil {
			t.Fatal(err)
		}
		if _, err := ben.Files.Get(f).Do(); err == nil {
			t.Error("ben still sees it")
		}
		if n := ben.count("name='secret'"); n != 0 {
			t.Error("ben still lists it")
		}
	})
	t.Run("writers who may not share", func(t *testing.T) {
		if _, err := ada.Files.Update(dir, &gdrive.File{WritersCanShare: false, ForceSendFields: []string{"WritersCanShare"}}).Do(); err != nil {
			t.Fatal(err)
		}
		_, err := ben.Permissions.Create(dir, &gdrive.Permission{Type: "anyone", Role: "reader"}).Do()
		wantError(t, err, 403, "insufficientFilePermissions")
	})
	t.Run("an owner in two steps", func(t *testing.T) {
		f := ada.file("gift", "12345")
		pid := ada.share(f, "ben@example.org", "writer")
		_, err := ben.Permissions.Update(f, pid, &gdrive.Permission{Role: "owner"}).TransferOwnership(true).Do()
		wantError(t, err, 403, "insufficientFilePermissions")
		if _, err := ada.Permissions.Update(f, pid, &gdrive.Permission{Role: "writer", PendingOwner: true}).Do(); err != nil {
			t.Fatal(err)
		}
		if _, err := ben.Permissions.Update(f, pid, &gdrive.Permission{Role: "owner"}).TransferOwnership(true).Do(); err != nil {
			t.Fatal(err)
		}
		if err := ben.Files.Delete(f).Do(); err != nil {
			t.Error(err)
		}
	})
	t.Run("the archive move: a writer takes the item of another into an own folder", func(t *testing.T) {
		inbox, archive := ben.folder("inbox"), ada.folder("archive")
		ben.share(inbox, "ada@example.org", "writer")
		f := ben.file("message", "x", inbox)
		moved, err := ada.Files.Update(f, nil).AddParents(archive).RemoveParents(inbox).SupportsAllDrives(true).Fields("id, parents").Do()
		if err != nil || moved.Parents[0] != archive {
			t.Fatalf("%+v %v", moved, err)
		}
		mine, err := ben.Files.Get(f).Fields("parents,ownedByMe").Do()
		if err != nil || !mine.OwnedByMe || len(mine.Parents) != 0 {
			t.Errorf("%+v %v", mine, err)
		}
		if got, err := ada.content(f); got != "x" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		wantError(t, ada.Files.Delete(f).Do(), 403, "insufficientFilePermissions")
		// The writer gives it back by removing it from the folder.
		if _, err := ada.Files.Update(f, nil).RemoveParents(archive).Do(); err == nil {
			if _, err := ada.Files.Get(f).Do(); err == nil {
				t.Error("ada still sees it")
			}
		}
	})
	t.Run("application data belong to a client", func(t *testing.T) {
		f := ada.file("settings", "x", "appDataFolder")
		if n := ada.count("name='settings'"); n != 0 {
			t.Error("it is in My Drive")
		}
		l, err := ada.Files.List().Spaces("appDataFolder").Do()
		if err != nil || len(l.Files) != 1 || l.Files[0].Id != f {
			t.Errorf("%+v %v", l, err)
		}
		if got := ada.raw("POST", "/drive/v3/files/"+f+"/permissions", `{"type":"anyone","role":"reader"}`); got.code != 403 {
			t.Errorf("shared: %d", got.code)
		}
	})
	t.Run("a token for what the client made sees only that", func(t *testing.T) {
		other, err := d.AddClient("other")
		if err != nil || other.ID == "" {
			t.Fatal(err)
		}
		appOnly := d.signIn("ada@example.org", "https://www.googleapis.com/auth/drive.appdata")
		if n := appOnly.raw("GET", "/drive/v3/files/"+id, ""); n.code != 404 {
			t.Errorf("%d", n.code)
		}
	})
}

func TestQueries(t *testing.T) {
	t.Parallel()
	d := start(t)
	ada, ben := d.person("ada@example.org"), d.person("ben@example.org")
	dir := ada.folder("syft_datasite#0.1.117#ada@x.org#inbox#ben@x.org")
	ada.share(dir, "ben@example.org", "reader")
	ada.file("HelloWorld.txt", "alpha beta gamma", dir)
	ada.file(`it's a \ name`, "x", dir)
	if _, err := ada.Files.Create(&gdrive.File{Name: "props", Description: "words of praise", Parents: []string{dir}, AppProperties: map[string]string{"k": "v"}, Starred: true, ModifiedTime: "2020-01-01T00:00:00.123456789+02:00"}).Do(); err != nil {
		t.Fatal(err)
	}
	bin := ada.file("bin", "x", dir)
	if _, err := ada.Files.Update(bin, &gdrive.File{Trashed: true}).Do(); err != nil {
		t.Fatal(err)
	}
	const folder = "mimeType = 'application/vnd.google-apps.folder'"
	for q, want := range map[string]int{
		"": 5, "trashed=false": 4, "trashed = true": 1, "not trashed=false": 1, "trashed!=true": 4,
		"name='helloworld.TXT'": 1, "name != 'bin'": 4, "name contains 'Hello'": 1, "name contains 'World'": 0, "name contains 'txt'": 1, "name contains 'wor hel'": 0,
		`name = 'it\'s a \\ name'`: 1, "name contains '#ada@x.org#inbox#ben@x'": 1, "name contains '#ada@x#'": 1, "name contains 'atasite'": 0, "name contains ''": 5,
		folder: 1, "mimeType contains 'text/'": 3, "not " + folder: 4,
		"'" + dir + "' in parents": 4, "'root' in parents": 1, "('" + dir + "' in parents or 'root' in parents) and trashed=false": 4,
		"'me' in owners": 5, "'ada@example.org' in owners": 5, "'ben@example.org' in owners": 0, "'ben@example.org' in readers": 5, "'ben@example.org' in writers": 0, "'nobody@x' in owners": 0,
		"appProperties has {key='k' and value='v'}": 1, "appProperties has { key='k' and value='w' }": 0, "properties has {key='k' and value='v'}": 0,
		"starred=true": 1, "sharedWithMe=true": 0, "sharedWithMe": -1,
		"modifiedTime < '2020-01-01'": 1, "modifiedTime = '2019-12-31T22:00:00.123'": 1, "modifiedTime > '2020-01-01T00:00:00' and trashed=false": 3, "createdTime >= '2026-01-01T00:00:00+01:00'": 5,
		"fullText contains 'beta'": 1, "fullText contains 'bet'": 0, `fullText contains '"alpha beta"'`: 1, `fullText contains '"beta alpha"'`: 0, "fullText contains 'praise'": 1,
		"name='props' or name='bin' and trashed=false": 1, "(name='props' or name='bin') and trashed=true": 1, "TRASHED=false": -1, "trashed=FALSE AND NOT name='props'": 3,
		"visibility='limited'": 5, "visibility='nothing'": -1, "shortcutDetails.targetId = 'x'": 0,
		"name": -1, "name =": -1, "name = x": -1, "name < 'x'": -1, "name='x": -1, `name='x\`: -1, "nothing='x'": -1, "'x' in nothing": -1, "'x'": -1, "(name='x'": -1, "name='x')": -1, "name='x' name='y'": -1,
		"modifiedTime > 'then'": -1, "trashed='yes'": -1, "name='x' and": -1, "appProperties has {key='k'}": -1, "ü='x'": -1, strings.Repeat("(", 70) + "name='x'" + strings.Repeat(")", 70): -1, strings.Repeat("not ", 30) + "trashed=true": 1,
	} {
		a := ada.raw("GET", "/drive/v3/files?pageSize=1000&fields=files(id)&q="+url.QueryEscape(q), "")
		if want < 0 {
			if a.code != 400 || a.reason(t) != "invalid" || !strings.Contains(a.body, `"location": "q"`) {
				t.Errorf("%s: %d %s", q, a.code, a.body)
			}
			continue
		}
		if got := strings.Count(a.body, `"id"`); a.code != 200 || got != want {
			t.Errorf("%s: %d, want %d (%d)", q, got, want, a.code)
		}
	}
	if n := ben.count("sharedWithMe=true"); n != 1 {
		t.Errorf("shared with ben: %d", n)
	}
	if a := ada.raw("GET", "/drive/v3/files?orderBy=name&q="+url.QueryEscape("fullText contains 'x'"), ""); a.code != 400 {
		t.Errorf("sorted full text: %d", a.code)
	}
}

// TestRclone sends what rclone's backend sends.
func TestRclone(t *testing.T) {
	t.Parallel()
	p := start(t).person("ada@example.org")
	const fields = "id,name,size,md5Checksum,sha1Checksum,sha256Checksum,trashed,explicitlyTrashed,modifiedTime,createdTime,mimeType,parents,webViewLink,shortcutDetails,exportLinks,resourceKey"
	root := p.raw("GET", "/drive/v3/files/root?alt=json&fields=id&prettyPrint=false&supportsAllDrives=true", "").json(t)["id"].(string)
	body := "--b1\r\nContent-Type: application/json\r\n\r\n" + `{"mimeType":"text/plain","modifiedTime":"2026-01-02T03:04:05.678901234+01:00","name":"f.txt","parents":["` + root + `"]}` + "\n\r\n--b1\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b1--\r\n"
	a := p.raw("POST", "/upload/drive/v3/files?alt=json&fields="+url.QueryEscape(fields)+"&keepRevisionForever=false&prettyPrint=false&setModifiedDate=true&supportsAllDrives=true&uploadType=multipart", body, "Content-Type", "multipart/related; boundary=b1")
	v := a.json(t)
	if a.code != 200 || v["modifiedTime"] != "2026-01-02T02:04:05.678Z" || v["size"] != "5" || v["md5Checksum"] != "5d41402abc4b2a76b9719d911017c592" ||
		v["sha1Checksum"] != "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d" || v["trashed"] != false || v["shortcutDetails"] != nil {
		t.Fatalf("%d %s", a.code, a.body)
	}
	id := v["id"].(string)
	list := func(q string) answer {
		return p.raw("GET", "/drive/v3/files?alt=json&fields="+url.QueryEscape("files("+fields+"),nextPageToken,incompleteSearch")+"&includeItemsFromAllDrives=true&pageSize=1000&prettyPrint=false&supportsAllDrives=true&q="+url.QueryEscape(q), "")
	}
	if a := list("trashed=false and ('" + root + "' in parents) and (name='f.txt') and mimeType!='application/vnd.google-apps.folder'"); a.code != 200 || strings.Count(a.body, id) < 2 || !strings.Contains(a.body, `"incompleteSearch":false`) {
		t.Errorf("%d %s", a.code, a.body)
	}
	if a := p.raw("PATCH", "/drive/v3/files/"+id+"?addParents="+p.folder("d")+"&removeParents="+root+"&alt=json&fields=&supportsAllDrives=true", "{}"); a.code != 200 {
		t.Errorf("%d %s", a.code, a.body)
	}
	if a := p.raw("POST", "/drive/v3/files?alt=json&fields=id,shortcutDetails,mimeType", `{"name":"s","mimeType":"application/vnd.google-apps.shortcut","shortcutDetails":{"targetId":"`+id+`"}}`); a.json(t)["shortcutDetails"].(map[string]any)["targetMimeType"] != "text/plain" {
		t.Errorf("%d %s", a.code, a.body)
	}
	if a := p.raw("POST", "/drive/v3/files/"+id+"/permissions?fields=&supportsAllDrives=true", `{"allowFileDiscovery":false,"role":"reader","type":"anyone"}`); a.code != 200 || a.json(t)["id"] != "anyoneWithLink" {
		t.Errorf("%d %s", a.code, a.body)
	}
	if a := p.raw("GET", "/drive/v3/files/"+id+"/permissions/anyoneWithLink?fields="+url.QueryEscape("*,permissionDetails/*"), ""); a.code != 200 || a.json(t)["permissionDetails"] == nil {
		t.Errorf("%d %s", a.code, a.body)
	}
	from := p.raw("GET", "/drive/v3/changes/startPageToken?supportsAllDrives=true", "").json(t)["startPageToken"].(string)
	if a := p.raw("PATCH", "/drive/v3/files/"+id, `{"trashed":true}`); a.code != 200 {
		t.Errorf("%d %s", a.code, a.body)
	}
	a = p.raw("GET", "/drive/v3/changes?pageToken="+from+"&restrictToMyDrive=true&spaces=drive&fields="+url.QueryEscape("nextPageToken,newStartPageToken,changes(fileId,file(name,parents,mimeType))"), "")
	if a.code != 200 || !strings.Contains(a.body, id) || a.json(t)["newStartPageToken"] == nil {
		t.Errorf("%d %s", a.code, a.body)
	}
	for _, path := range []string{"/drive/v3/about?fields=storageQuota", "/drive/v3/about?fields=exportFormats,importFormats", "/drive/v3/drives?pageSize=100", "/drive/v3/files/" + id + "/listLabels"} {
		if a := p.raw("GET", path, ""); a.code != 200 {
			t.Errorf("%s: %d %s", path, a.code, a.body)
		}
	}
	if a := p.raw("DELETE", "/drive/v3/files/trash", ""); a.code != 204 || a.body != "" {
		t.Errorf("%d %s", a.code, a.body)
	}
}
