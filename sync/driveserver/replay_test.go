package driveserver_test

import (
	"bufio"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// traced is one request that the real Python client made. Ids are written as {id of OWNER's NAME}.
type traced struct {
	Actor   string
	Method  string
	Path    string
	Params  map[string]string
	Headers map[string]string
	JSON    json.RawMessage
	Bytes   int
	InBatch bool `json:"in_batch"`
	Status  int
}

var (
	placeholder = regexp.MustCompile(`\{id of (\w+)'s ([^{}]*)\}`)
	addresses   = map[string]string{"owen": "owen@cancer-research.example", "rachel": "rachel@datascience.example", "nina": "nina@statistics.example"}
)

// replay makes the requests of a trace against a server and compares the answers: the status, and that exactly the fields asked for are
// there. An id that a request needs was given by an earlier answer, so visibility between the accounts is checked on the way.
type replay struct {
	t        *testing.T
	people   map[string]*person
	ids      map[string][]string // by placeholder; several files may have one name
	sessions []string            // addresses of resumable uploads, in order
	owners   []string            // who began them
	names    []string            // the names that they make, "" for an update
}

func TestReplayOfSyftClient(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/trace-*.jsonl")
	if err != nil || len(files) != 4 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			d := start(t)
			r := &replay{t: t, people: map[string]*person{}, ids: map[string][]string{}}
			for name, email := range addresses {
				r.people[name] = d.person(email)
			}
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			lines := bufio.NewScanner(f)
			lines.Buffer(nil, 1<<20)
			for n := 1; lines.Scan() && !t.Failed(); n++ {
				var one traced
				if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
					t.Fatal(err)
				}
				r.make(n, one)
			}
			if problems, err := d.Check(t.Context()); err != nil || len(problems) > 0 {
				t.Errorf("%v %v", problems, err)
			}
		})
	}
}

// fill puts ids for placeholders: the newest that the actor can see.
func (r *replay) fill(p *person, s string) string {
	return placeholder.ReplaceAllStringFunc(s, func(name string) string {
		ids := r.ids[name]
		for _, id := range slices.Backward(ids) {
			if len(ids) == 1 || p.raw("GET", "/drive/v3/files/"+id, "").code == 200 {
				return id
			}
		}
		r.t.Errorf("nothing to see of %s", name)
		return ""
	})
}

func (r *replay) made(actor, name string, a answer) {
	id, _ := a.json(r.t)["id"].(string)
	key := "{id of " + actor + "'s " + name + "}"
	r.ids[key] = append(r.ids[key], id)
}

func (r *replay) make(n int, one traced) {
	p := r.people[one.Actor]
	q := url.Values{"alt": {"json"}}
	for k, v := range one.Params {
		q.Set(k, r.fill(p, v))
	}
	body := r.fill(p, string(one.JSON))
	var header []string
	for k, v := range one.Headers {
		header = append(header, k, v)
	}
	if session, ok := strings.CutPrefix(one.Path, "/upload/session/"); ok {
		r.finish(n, one, session, header)
		return
	}
	path := r.fill(p, one.Path) + "?" + q.Encode()
	a := answer{}
	if one.InBatch {
		a = r.batched(p, one.Method, path, body)
	} else {
		a = p.raw(one.Method, path, body, header...)
	}
	if a.code != one.Status {
		r.t.Errorf("line %d: %s %s %s: got %d, want %d: %s", n, one.Method, one.Path, q.Get("q"), a.code, one.Status, a.body)
		return
	}
	var meta struct{ Name string }
	if len(one.JSON) > 0 {
		if err := json.Unmarshal([]byte(body), &meta); err != nil {
			r.t.Fatal(err)
		}
	}
	switch {
	case one.Params["uploadType"] == "resumable":
		r.sessions = append(r.sessions, a.header.Get("Location"))
		r.owners, r.names = append(r.owners, one.Actor), append(r.names, meta.Name)
		return
	case one.Method == "DELETE", one.Params["alt"] == "media":
		return
	case one.Method == "POST" && one.Path == "/drive/v3/files":
		r.made(one.Actor, meta.Name, a)
	}
	r.shape(n, one.Params["fields"], a)
}

// finish sends the bytes of an upload.
func (r *replay) finish(n int, one traced, session string, header []string) {
	var i int
	if err := json.Unmarshal([]byte(session), &i); err != nil || i > len(r.sessions) {
		r.t.Fatalf("line %d: session %s", n, session)
	}
	a := r.people[one.Actor].d.raw("PUT", r.sessions[i-1], strings.Repeat("x", one.Bytes), header...)
	if a.code != one.Status {
		r.t.Errorf("line %d: upload: got %d, want %d: %s", n, a.code, one.Status, a.body)
		return
	}
	if r.names[i-1] != "" {
		r.made(r.owners[i-1], r.names[i-1], a)
	}
}

func (r *replay) batched(p *person, verb, path, body string) answer {
	text := "--b\nContent-Type: application/http\nMIME-Version: 1.0\nContent-Transfer-Encoding: binary\nContent-ID: <u + 1>\n\n" +
		verb + " " + path + " HTTP/1.1\nContent-Type: application/json\n\n" + body + "\n--b--\n"
	out := p.raw("POST", "/batch/drive/v3", text, "Content-Type", `multipart/mixed; boundary="b"`)
	_, inner, ok := strings.Cut(out.body, "HTTP/1.1 ")
	if !ok {
		r.t.Fatalf("batch: %d %s", out.code, out.body)
	}
	var code int
	if err := json.Unmarshal([]byte(inner[:3]), &code); err != nil {
		r.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(inner, "\r\n\r\n")
	rest, _, _ = strings.Cut(rest, "\r\n--")
	return answer{code: code, body: rest}
}

// shape compares the fields of an answer with those asked for.
func (r *replay) shape(n int, fields string, a answer) {
	if fields == "" {
		return
	}
	v := a.json(r.t)
	var want []string
	depth, name := 0, ""
	for _, c := range fields + "," {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			want, name = append(want, strings.TrimSpace(name)), ""
		case depth == 0:
			name += string(c)
		}
	}
	for _, w := range want {
		if _, ok := v[w]; !ok && w != "nextPageToken" {
			r.t.Errorf("line %d: no %s in %s", n, w, a.body)
		}
		delete(v, w)
	}
	if len(v) > 0 {
		r.t.Errorf("line %d: nobody asked for %v", n, v)
	}
}
