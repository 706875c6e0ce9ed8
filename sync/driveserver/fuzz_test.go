package driveserver

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func FuzzQuery(f *testing.F) {
	for _, s := range []string{"", "name='SyftBox' and mimeType='a/b' and 'me' in owners and trashed=false", `name contains 'it\'s' or not (starred = true)`,
		"appProperties has {key='a' and value='b'}", "modifiedTime >= '2020-01-01T00:00:00'", "((((", "'", `'\`, "not not not", "name!='x'", "fullText contains '\"a b\"'"} {
		f.Add(s)
	}
	it := &item{ID: "1x", Owner: "7", Name: "a name", Mime: "text/plain", Parent: "0A", Created: 1, Modified: 2}
	f.Fuzz(func(t *testing.T, q string) {
		n, err := parseQuery(q)
		if err != nil || n == nil {
			return
		}
		st := newState()
		who := &account{ID: "7", Email: "a@b", Root: "0A"}
		st.accounts["7"], st.mails["a@b"] = who, "7"
		st.setItem("0A", &item{ID: "0A", Owner: "7", Root: true, Mime: mimeFolder})
		st.setItem("1x", it)
		c := &call{s: &Server{st: st}, who: caller{account: who, scopes: []string{scopeDrive}}}
		m := &matcher{c: c, x: newSight(st, who, 5)}
		if n.match(m, it) == (notNode{n}).match(m, it) {
			t.Errorf("%q and its opposite agree", q)
		}
		parentsOf(n)
	})
}

func FuzzFields(f *testing.F) {
	for _, s := range []string{"*", "files(id, name), nextPageToken", "permissions/permissionDetails/*", "*,permissionDetails/*", "a(b(c(d)))", "a(", "a/", ",", "files(owners(emailAddress))", strings.Repeat("a(", 40)} {
		f.Add(s)
	}
	v := map[string]any{"files": []any{map[string]any{"id": "x", "owners": []any{map[string]any{"me": true}}}}, "kind": "k"}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := parseMask(s)
		if err != nil {
			return
		}
		if got := m.filter(v).(map[string]any); len(got) > len(v) {
			t.Errorf("%q selects more than there is", s)
		}
		m.check(schemaFileList)
	})
}

func FuzzMultipart(f *testing.F) {
	f.Add("multipart/related; boundary=b", "--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\nContent-Type: a/b\r\n\r\nx\r\n--b--")
	f.Add(`multipart/related; boundary="=1="`, "--=1=\n\n{\"name\":\"x\"}\n--=1=\n\nbytes\n--=1=--")
	f.Add("multipart/related; boundary=a=b", "--a=b\n\n\n--a=b\n")
	f.Add("text/plain", "")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		if _, media, _, err := readRelated(r); err == nil && media == nil {
			t.Error("neither content nor an error")
		}
	})
}

func FuzzBatch(f *testing.F) {
	f.Add("multipart/mixed; boundary=b", "--b\nContent-ID: <u + 1>\n\nGET /drive/v3/files?q=x HTTP/1.1\nA: b\n\nbody\n--b--")
	f.Add("multipart/mixed; boundary=b", "--b\r\n\r\nDELETE https://www.googleapis.com/drive/v3/files/x HTTP/1.1\r\n\r\n--b--")
	f.Add("multipart/mixed; boundary=b", "--b\n\nGET %zz HTTP/1.1\n--b--")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		parts, err := readBatch(contentType, strings.NewReader(body))
		if err == nil && len(parts) > maxBatchCalls {
			t.Errorf("%d calls", len(parts))
		}
		for _, p := range parts {
			if p.req == nil || p.req.URL == nil {
				t.Error("a call without an address")
			}
		}
	})
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"", "bytes 0-1/2", "bytes */5", "bytes */*", "bytes 0--1/0", "bytes 5-1/9", "bytes 0-9223372036854775807/*"} {
		f.Add(s, "bytes=0-5")
	}
	f.Fuzz(func(t *testing.T, contentRange, rng string) {
		r := httptest.NewRequest("PUT", "/", strings.NewReader("x"))
		r.Header.Set("Content-Range", contentRange)
		if sp, err := parseContentRange(r); err == nil && (sp.from < 0 || sp.to >= 0 && sp.to < sp.from) {
			t.Errorf("%q: %+v", contentRange, sp)
		}
		for _, size := range []int64{0, 1, 10} {
			if from, to, _, err := byteRange(rng, size); err == nil && (from < 0 || to < from || to > size) {
				t.Errorf("%q of %d: %d-%d", rng, size, from, to)
			}
		}
	})
}
