package driveserver_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/openmined/syftfs/sync/driveserver"
)

// What Python's library sends, byte by byte.

func TestPythonUploads(t *testing.T) {
	t.Parallel()
	p := start(t).person("ada@example.org")
	begin := func(verb, path, meta string, size int) string {
		t.Helper()
		h := []string{"X-Upload-Content-Type", "text/plain", "X-Upload-Content-Length", fmt.Sprint(size)}
		if meta != "" {
			h = append(h, "Content-Type", "application/json")
		}
		a := p.raw(verb, path+"?fields=id%2C+parents&alt=json&uploadType=resumable", meta, h...)
		if a.code != 200 || a.header.Get("Location") == "" {
			t.Fatalf("start: %d %s", a.code, a.body)
		}
		return a.header.Get("Location")
	}
	put := func(to, body, contentRange string) answer {
		t.Helper()
		if contentRange == "" {
			return p.d.raw("PUT", to, body)
		}
		return p.d.raw("PUT", to, body, "Content-Range", contentRange)
	}
	const create = "/upload/drive/v3/files"

	t.Run("one chunk", func(t *testing.T) {
		a := put(begin("POST", create, `{"name": "a"}`, 5), "hello", "bytes 0-4/5")
		if v := a.json(t); a.code != 200 || v["id"] == nil || v["parents"] == nil || v["name"] != nil {
			t.Fatalf("%d %s", a.code, a.body)
		}
		id := a.json(t)["id"].(string)
		if a := put(begin("PATCH", create+"/"+id, "", 3), "new", "bytes 0-2/3"); a.code != 200 {
			t.Fatalf("%d %s", a.code, a.body)
		}
		if got, err := p.content(id); got != "new" || err != nil {
			t.Errorf("%q %v", got, err)
		}
	})
	t.Run("empty", func(t *testing.T) {
		if a := put(begin("POST", create, `{"name": "e"}`, 0), "", ""); a.code != 200 {
			t.Errorf("new library: %d %s", a.code, a.body)
		}
		if a := put(begin("POST", create, `{"name": "e"}`, 0), "", "bytes 0--1/0"); a.code != 200 {
			t.Errorf("old library: %d %s", a.code, a.body)
		}
	})
	t.Run("several chunks, a restart between, a status query, the answer again", func(t *testing.T) {
		const unit = 256 << 10
		body := strings.Repeat("x", unit) + strings.Repeat("y", unit) + "end"
		to := begin("POST", create, `{"name": "big"}`, len(body))
		a := put(to, body[:unit], fmt.Sprintf("bytes 0-%d/%d", unit-1, len(body)))
		if a.code != 308 || a.header.Get("Range") != fmt.Sprintf("bytes=0-%d", unit-1) {
			t.Fatalf("%d %v", a.code, a.header)
		}
		p.d.restart()
		p.connect()
		u, _ := url.Parse(to)
		to = p.d.http.URL + u.RequestURI()
		if a := put(to, "", fmt.Sprintf("bytes */%d", len(body))); a.code != 308 || a.header.Get("Range") != fmt.Sprintf("bytes=0-%d", unit-1) {
			t.Fatalf("%d %v", a.code, a.header)
		}
		if a := put(to, "zzz", fmt.Sprintf("bytes %d-%d/%d", 2*unit, 2*unit+2, len(body))); a.code != 400 || a.reason(t) != "badRequest" {
			t.Fatalf("beyond the end: %d %s", a.code, a.body)
		}
		if a := put(to, "", "bytes */7"); a.code != 400 {
			t.Fatalf("another total: %d", a.code)
		}
		// Overlapping: what is there is skipped.
		a = put(to, body[10:], fmt.Sprintf("bytes 10-%d/%d", len(body)-1, len(body)))
		if a.code != 200 {
			t.Fatalf("%d %s", a.code, a.body)
		}
		id := a.json(t)["id"]
		if again := put(to, "", "bytes */*"); again.code != 200 || again.json(t)["id"] != id {
			t.Errorf("the answer again: %d %s", again.code, again.body)
		}
		if got, err := p.content(id.(string)); got != body || err != nil {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
	t.Run("a dead address", func(t *testing.T) {
		if a := put(p.d.http.URL+create+"?uploadType=resumable&upload_id=nothing", "x", "bytes 0-0/1"); a.code != 404 {
			t.Errorf("%d", a.code)
		}
	})
	t.Run("the right goes away while it is under way", func(t *testing.T) {
		ben := p.d.person("ben@example.org")
		dir := p.folder("dir")
		pid := p.share(dir, "ben@example.org", "writer")
		a := ben.raw("POST", create+"?uploadType=resumable", `{"name":"x","parents":["`+dir+`"]}`)
		if err := p.Permissions.Delete(dir, pid).Do(); err != nil {
			t.Fatal(err)
		}
		if a := put(a.header.Get("Location"), "x", "bytes 0-0/1"); a.code != 404 || a.reason(t) != "notFound" {
			t.Errorf("%d %s", a.code, a.body)
		}
	})
}

func TestMultipartForms(t *testing.T) {
	t.Parallel()
	p := start(t).person("ada@example.org")
	for name, c := range map[string]struct{ contentType, body string }{
		"crlf, quoted":        {`multipart/related; boundary="b=1"`, "--b=1\r\nContent-Type: application/json\r\n\r\n{\"name\":\"n\"}\r\n--b=1\r\ncontent-type: text/x-a\r\n\r\nbytes\r\n--b=1--\r\n"},
		"lf, bare equal sign": {`multipart/related; boundary=b=1`, "--b=1\nMIME-Version: 1.0\nContent-Type: application/json\n\n{\"name\":\"n\"}\n--b=1\nContent-Type: text/x-a\nContent-Transfer-Encoding: binary\n\nbytes\n--b=1--"},
		"empty metadata":      {`multipart/related; boundary=bb`, "--bb\r\nContent-Type: application/json\r\n\r\n\r\n--bb\r\nContent-Type: text/x-a\r\n\r\nbytes\r\n--bb--\r\n"},
	} {
		a := p.raw("POST", "/upload/drive/v3/files?uploadType=multipart&fields=id,size,mimeType", c.body, "Content-Type", c.contentType)
		if v := a.json(t); a.code != 200 || v["size"] != "5" || v["mimeType"] != "text/x-a" {
			t.Errorf("%s: %d %s", name, a.code, a.body)
		}
	}
	for name, c := range map[string]struct{ contentType, body string }{
		"no boundary":   {"multipart/related", "x"},
		"not multipart": {"text/plain", "x"},
		"one part":      {"multipart/related; boundary=bb", "--bb\r\n\r\n{}\r\n--bb--\r\n"},
		"cut":           {"multipart/related; boundary=bb", "--bb\r\n\r\n{}\r\n--bb\r\n\r\nbyt"},
		"no json":       {"multipart/related; boundary=bb", "--bb\r\n\r\n{\r\n--bb\r\n\r\nx\r\n--bb--"},
		"wrong type":    {"multipart/related; boundary=bb", "--bb\r\n\r\n{\"name\":1}\r\n--bb\r\n\r\nx\r\n--bb--"},
	} {
		if a := p.raw("POST", "/upload/drive/v3/files?uploadType=multipart", c.body, "Content-Type", c.contentType); a.code != 400 || a.reason(t) == "" {
			t.Errorf("%s: %d %s", name, a.code, a.body)
		}
	}
	if l, err := p.Files.List().Do(); err != nil || len(l.Files) != 3 {
		t.Errorf("refused uploads left something: %+v %v", l, err)
	}
	if a := p.raw("POST", "/upload/drive/v3/files?uploadType=media&fields=mimeType,name,size", "plain", "Content-Type", "text/plain"); a.code != 200 || a.json(t)["name"] != "Untitled" {
		t.Errorf("simple: %d %s", a.code, a.body)
	}
}

func TestPythonBatch(t *testing.T) {
	t.Parallel()
	d := start(t)
	p := d.person("ada@example.org")
	d.person("ben@example.org")
	a, b := p.folder("a"), p.folder("b")
	part := func(n int, request, body string) string {
		return fmt.Sprintf("--===============7==\nContent-Type: application/http\nMIME-Version: 1.0\nContent-Transfer-Encoding: binary\nContent-ID: <uuid + %d>\n\n%s\nContent-Type: application/json\nMIME-Version: 1.0\nHost: www.googleapis.com\ncontent-length: %d\n\n%s\n", n, request, len(body), body)
	}
	body := part(1, "POST /drive/v3/files/"+a+"/permissions?sendNotificationEmail=true&alt=json HTTP/1.1", `{"type":"user","role":"reader","emailAddress":"ben@example.org"}`) +
		part(2, "DELETE https://www.googleapis.com/drive/v3/files/"+b+"? HTTP/1.1", "") +
		part(3, "DELETE /drive/v3/files/nothing HTTP/1.1", "") + part(4, "GET /drive/v3/files/"+a+"?alt=media HTTP/1.1", "") + "--===============7==--"
	ans := p.raw("POST", "/batch/drive/v3", body, "Content-Type", `multipart/mixed; boundary="===============7=="`)
	if ans.code != 200 {
		t.Fatalf("%d %s", ans.code, ans.body)
	}
	for _, want := range []string{"Content-Id: <response-uuid + 1>", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 204 No Content\r\n", "HTTP/1.1 404 Not Found\r\n", "HTTP/1.1 400 Bad Request\r\n", `"role": "reader"`} {
		if !strings.Contains(ans.body, want) {
			t.Errorf("%q is missing in %s", want, ans.body)
		}
	}
	if mails := d.Outbox(); len(mails) != 1 || mails[0].To != "ben@example.org" {
		t.Errorf("outbox: %+v", mails)
	}
	n := d.Stats()["ada@example.org"]
	if n.Requests["batch"] != 1 || n.Batched["permissions.create"] != 1 || n.Batched["files.delete"] != 2 || n.Requests["files.create"] != 2 || n.Units != 2*50+50+2*50 {
		t.Errorf("counts: %+v", n)
	}
	many := strings.Repeat(part(1, "GET /drive/v3/files HTTP/1.1", ""), 101) + "--===============7==--"
	if ans := p.raw("POST", "/batch/drive/v3", many, "Content-Type", `multipart/mixed; boundary="===============7=="`); ans.code != 400 {
		t.Errorf("101 calls: %d", ans.code)
	}
	// Nobody is signed in: each call says so.
	if ans := d.raw("POST", "/batch/drive/v3", part(1, "GET /drive/v3/files HTTP/1.1", "")+"--===============7==--", "Content-Type", `multipart/mixed; boundary="===============7=="`); !strings.Contains(ans.body, "401 Unauthorized") {
		t.Errorf("%d %s", ans.code, ans.body)
	}
}

func TestMethodOverride(t *testing.T) {
	t.Parallel()
	p := start(t).person("ada@example.org")
	p.folder("needle")
	q := "name='needle'" + strings.Repeat(" or name='other'", 200)
	a := p.raw("POST", "/drive/v3/files", url.Values{"q": {q}, "fields": {"files(name)"}}.Encode(), "X-HTTP-Method-Override", "GET", "Content-Type", "application/x-www-form-urlencoded")
	if a.code != 200 || strings.Count(a.body, "needle") != 1 {
		t.Errorf("%d %s", a.code, a.body)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	d := start(t)
	p := d.person("ada@example.org")
	reader := d.signIn("ada@example.org", "https://www.googleapis.com/auth/drive.metadata.readonly")
	file := p.file("f", "x")
	dir := p.folder("d")
	for _, c := range []struct {
		who          *person
		verb, path   string
		body, reason string
		code         int
	}{
		{p, "GET", "/drive/v3/files?q=name", "", "invalid", 400},
		{p, "GET", "/drive/v3/files?fields=files(nothing)", "", "invalidParameter", 400},
		{p, "GET", "/drive/v3/files?fields=files(id", "", "invalidParameter", 400},
		{p, "GET", "/drive/v3/files?orderBy=nothing", "", "invalid", 400},
		{p, "GET", "/drive/v3/files?pageSize=0", "", "invalidParameter", 400},
		{p, "GET", "/drive/v3/files?pageToken=abc", "", "invalid", 400},
		{p, "GET", "/drive/v3/files?corpora=drive", "", "required", 400},
		{p, "GET", "/drive/v3/files?q='nothing'+in+parents", "", "notFound", 404},
		{p, "GET", "/drive/v3/files?supportsAllDrives=maybe", "", "invalidParameter", 400},
		{p, "GET", "/drive/v3/changes", "", "required", 400},
		{p, "GET", "/drive/v3/changes?pageToken=0", "", "invalid", 400},
		{p, "GET", "/drive/v3/changes?pageToken=x", "", "invalid", 400},
		{p, "GET", "/drive/v3/about", "", "required", 400},
		{p, "GET", "/drive/v3/files/" + dir + "?alt=media", "", "fileNotDownloadable", 403},
		{p, "POST", "/drive/v3/files/" + dir + "/copy", "", "fileNotCopyable", 403},
		{p, "POST", "/drive/v3/files", `{"parents":["a","b"]}`, "cannotAddParent", 403},
		{p, "POST", "/drive/v3/files", `{"parents":["` + file + `"]}`, "parentNotAFolder", 403},
		{p, "POST", "/drive/v3/files", `{"parents":["nothing"]}`, "notFound", 404},
		{p, "POST", "/drive/v3/files", `{`, "parseError", 400},
		{p, "POST", "/drive/v3/files", `{"name":3}`, "badRequest", 400},
		{p, "POST", "/drive/v3/files", `{"modifiedTime":"yesterday"}`, "badRequest", 400},
		{p, "PATCH", "/drive/v3/files/" + file, `{"parents":["x"]}`, "fieldNotWritable", 403},
		{p, "PATCH", "/drive/v3/files/" + dir + "?addParents=" + dir, "", "cannotAddParent", 403},
		{p, "PATCH", "/drive/v3/files/" + dir + "?enforceSingleParent=true&addParents=" + dir, "", "cyclicMove", 403},
		{p, "DELETE", "/drive/v3/files/root", "", "insufficientFilePermissions", 403},
		{p, "POST", "/drive/v3/files/root/permissions", `{"type":"anyone","role":"reader"}`, "insufficientFilePermissions", 403},
		{p, "POST", "/drive/v3/files/" + file + "/permissions", `{"type":"user","role":"reader"}`, "required", 400},
		{p, "POST", "/drive/v3/files/" + file + "/permissions", `{"type":"user","role":"king","emailAddress":"x@y"}`, "invalid", 400},
		{p, "POST", "/drive/v3/files/" + file + "/permissions", `{"type":"user","role":"reader","emailAddress":"x y"}`, "invalidSharingRequest", 400},
		{p, "POST", "/drive/v3/files/" + file + "/permissions", `{"type":"user","role":"owner","emailAddress":"x@y"}`, "forbidden", 403},
		{p, "GET", "/drive/v3/files/" + file + "/permissions/7", "", "notFound", 404},
		{p, "GET", "/drive/v3/drives/7", "", "notFound", 404},
		{p, "GET", "/drive/v3/nothing", "", "notFound", 404},
		{p, "GET", "/drive/v3/files/" + file + "/export?mimeType=text/plain", "", "fileNotExportable", 403},
		{reader, "POST", "/drive/v3/files", "{}", "insufficientPermissions", 403},
		{reader, "GET", "/drive/v3/files/" + file + "?alt=media", "", "insufficientPermissions", 403},
		{&person{d: d, token: "wrong"}, "GET", "/drive/v3/files", "", "authError", 401},
		{&person{d: d}, "GET", "/drive/v3/files", "", "required", 401},
	} {
		a := c.who.raw(c.verb, c.path, c.body)
		if a.code != c.code || a.reason(t) != c.reason || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
			t.Errorf("%s %s %s: %d %s", c.verb, c.path, c.body, a.code, a.body)
		}
	}
	if a := reader.raw("GET", "/drive/v3/files/"+file, ""); a.code != 200 {
		t.Errorf("metadata scope: %d", a.code)
	}
	if err := d.SetSwitches(driveserver.Switches{ErrorDetails: true}); err != nil {
		t.Fatal(err)
	}
	if a := p.raw("GET", "/drive/v3/files/nothing", ""); !strings.Contains(a.body, `"NOT_FOUND"`) {
		t.Errorf("details: %s", a.body)
	}
}
