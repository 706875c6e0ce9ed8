package driveserver_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// thing is an item in the model.
type thing struct {
	owner, parent string // parent is "" in a root folder
	folder        bool
	trashed       bool
	grants        map[string]int // 1 reads, 3 writes, by address
}

// model is what should be there, computed in the simplest way.
type model map[string]*thing

func (m model) role(who, id string) int {
	it := m[id]
	if it == nil {
		return 0
	}
	r := it.grants[who]
	if it.owner == who {
		r = 4
	}
	if it.parent != "" {
		r = max(r, min(3, m.role(who, it.parent)))
	}
	return r
}

func (m model) trashed(id string) bool {
	return id != "" && (m[id].trashed || m.trashed(m[id].parent))
}

func (m model) below(id, top string) bool {
	for ; id != ""; id = m[id].parent {
		if id == top {
			return true
		}
	}
	return false
}

func (m model) remove(top string) {
	gone := map[string]bool{}
	for id, it := range m {
		if m.below(id, top) && it.owner == m[top].owner {
			gone[id] = true
		}
	}
	for id, it := range m {
		if !gone[id] && gone[it.parent] {
			it.parent = ""
		}
	}
	for id := range gone {
		delete(m, id)
	}
}

// actor is a person without a network.
type actor struct {
	email, token, feed string
	h                  http.Handler
	mirror             map[string]string // id to name, made from the feed alone
}

func (a *actor) do(t *rapid.T, verb, path, body string) (int, map[string]any) {
	r := httptest.NewRequest(verb, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+a.token)
	w := httptest.NewRecorder()
	a.h.ServeHTTP(w, r)
	var v map[string]any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			t.Fatalf("%s %s: %v in %q", verb, path, err, w.Body)
		}
	}
	return w.Code, v
}

// follow brings the mirror forward.
func (a *actor) follow(t *rapid.T) {
	for {
		code, v := a.do(t, "GET", "/drive/v3/changes?pageSize=3&fields=nextPageToken,newStartPageToken,changes(fileId,removed,file(id,name))&pageToken="+a.feed, "")
		if code != 200 {
			t.Fatalf("changes: %d %v", code, v)
		}
		for _, c := range v["changes"].([]any) {
			c := c.(map[string]any)
			id := c["fileId"].(string)
			if c["removed"] == true {
				delete(a.mirror, id)
				continue
			}
			a.mirror[id] = c["file"].(map[string]any)["name"].(string)
		}
		if next, ok := v["nextPageToken"]; ok {
			a.feed = next.(string)
			continue
		}
		a.feed = v["newStartPageToken"].(string)
		return
	}
}

func (a *actor) list(t *rapid.T, q string) []string {
	code, v := a.do(t, "GET", "/drive/v3/files?pageSize=1000&fields=files(id)&q="+url.QueryEscape(q), "")
	if code != 200 {
		t.Fatalf("list %s: %d %v", q, code, v)
	}
	var ids []string
	for _, f := range v["files"].([]any) {
		ids = append(ids, f.(map[string]any)["id"].(string))
	}
	slices.Sort(ids)
	return ids
}

// TestModel lets three people do random things and compares what each of them sees, in lists, by id and in a mirror made from the feed, with
// the model.
func TestModel(t *testing.T) {
	t.Parallel()
	s := start(t).Server
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++ // every run has people of its own, on one server
		people := map[string]*actor{}
		var emails []string
		for _, name := range []string{"ada", "ben", "cem"} {
			emails = append(emails, fmt.Sprintf("%s%d@example.org", name, runs))
		}
		for _, e := range emails {
			if _, err := s.AddAccount(e); err != nil {
				t.Fatal(err)
			}
			tok, err := s.IssueToken(e)
			if err != nil {
				t.Fatal(err)
			}
			people[e] = &actor{email: e, token: tok.Access, h: s.Handler(), mirror: map[string]string{}}
			_, v := people[e].do(t, "GET", "/drive/v3/changes/startPageToken", "")
			people[e].feed = v["startPageToken"].(string)
		}
		m := model{}
		world := &modelWorld{m: m, people: people, emails: emails}
		t.Repeat(map[string]func(*rapid.T){
			"create": world.create, "share": world.share, "unshare": world.unshare, "move": world.move, "trash": world.trash, "delete": world.delete,
			"": world.compare,
		})
	})
	if problems, err := s.Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

type modelWorld struct {
	m      model
	people map[string]*actor
	emails []string
}

func (w *modelWorld) who(t *rapid.T) *actor {
	return w.people[rapid.SampledFrom(w.emails).Draw(t, "who")]
}

func (w *modelWorld) pick(rt *rapid.T, label string, fit func(*thing) bool) string {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(w.m)) {
		if fit == nil || fit(w.m[id]) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		rt.Skip("nothing to take") // of this draw: rapid makes another
	}
	return rapid.SampledFrom(ids).Draw(rt, label)
}

func isFolder(it *thing) bool { return it.folder }

// want is the status that an operation on an item must have, given the role that it needs.
func (w *modelWorld) want(who, id string, need int) int {
	switch r := w.m.role(who, id); {
	case r == 0:
		return 404
	case r < need:
		return 403
	}
	return 200
}

func (w *modelWorld) create(t *rapid.T) {
	a := w.who(t)
	it := &thing{owner: a.email, folder: rapid.Bool().Draw(t, "folder"), grants: map[string]int{}}
	body := map[string]any{"name": fmt.Sprint("n", len(w.m))}
	if it.folder {
		body["mimeType"] = "application/vnd.google-apps.folder"
	}
	want := 200
	if rapid.Bool().Draw(t, "inside") && slices.ContainsFunc(slices.Collect(maps.Values(w.m)), isFolder) {
		it.parent = w.pick(t, "parent", isFolder)
		body["parents"] = []string{it.parent}
		want = w.want(a.email, it.parent, 3)
	}
	raw, _ := json.Marshal(body)
	code, v := a.do(t, "POST", "/drive/v3/files", string(raw))
	if code != want {
		t.Fatalf("create: %d, want %d: %v", code, want, v)
	}
	if code == 200 {
		w.m[v["id"].(string)] = it
	}
}

func (w *modelWorld) share(t *rapid.T) {
	a, id, to := w.who(t), w.pick(t, "item", nil), rapid.SampledFrom(w.emails).Draw(t, "to")
	r := rapid.SampledFrom([]int{1, 3}).Draw(t, "role")
	code, v := a.do(t, "POST", "/drive/v3/files/"+id+"/permissions", fmt.Sprintf(`{"type":"user","role":%q,"emailAddress":%q}`, map[int]string{1: "reader", 3: "writer"}[r], to))
	if want := w.want(a.email, id, 3); code != want {
		t.Fatalf("share: %d, want %d: %v", code, want, v)
	}
	if code == 200 && w.m[id].owner != to {
		w.m[id].grants[to] = r
	}
}

func (w *modelWorld) unshare(t *rapid.T) {
	a, id, from := w.who(t), w.pick(t, "item", nil), rapid.SampledFrom(w.emails).Draw(t, "from")
	_, v := w.people[from].do(t, "GET", "/drive/v3/about?fields=user", "")
	pid := v["user"].(map[string]any)["permissionId"].(string)
	code, v := a.do(t, "DELETE", "/drive/v3/files/"+id+"/permissions/"+pid, "")
	want := w.want(a.email, id, 3)
	if from == a.email && w.m.role(a.email, id) > 0 {
		want = 200 // everybody may leave
	}
	if want == 200 {
		switch {
		case w.m.role(from, id) == 0:
			want = 404
		case w.m[id].owner == from || w.m[id].grants[from] == 0:
			want = 403
		default:
			want = 204
		}
	}
	if code != want {
		t.Fatalf("unshare: %d, want %d: %v", code, want, v)
	}
	if code == 204 {
		delete(w.m[id].grants, from)
	}
}

func (w *modelWorld) move(t *rapid.T) {
	a, id, to := w.who(t), w.pick(t, "item", nil), w.pick(t, "to", isFolder)
	it := w.m[id]
	old := it.parent
	path := "/drive/v3/files/" + id + "?addParents=" + to
	if old != "" {
		path += "&removeParents=" + old
	} else {
		_, v := a.do(t, "GET", "/drive/v3/files/root?fields=id", "")
		path += "&removeParents=" + v["id"].(string)
	}
	want := w.want(a.email, id, 3)
	if want == 200 && old != "" && w.m.role(a.email, old) > 0 && w.m.role(a.email, old) < 3 && it.owner != a.email {
		want = 403
	}
	if want == 200 {
		want = w.want(a.email, to, 3)
	}
	if want == 200 && to != old && w.m.below(to, id) {
		want = 403
	}
	code, v := a.do(t, "PATCH", path, "{}")
	if code != want {
		t.Fatalf("move: %d, want %d: %v", code, want, v)
	}
	if code == 200 {
		it.parent = to
	}
}

func (w *modelWorld) trash(t *rapid.T) {
	a, id, in := w.who(t), w.pick(t, "item", nil), rapid.Bool().Draw(t, "in")
	want := w.want(a.email, id, 4)
	code, v := a.do(t, "PATCH", "/drive/v3/files/"+id, fmt.Sprintf(`{"trashed":%v}`, in))
	if code != want {
		t.Fatalf("trash: %d, want %d: %v", code, want, v)
	}
	if code == 200 {
		w.m[id].trashed = in
	}
}

func (w *modelWorld) delete(t *rapid.T) {
	a, id := w.who(t), w.pick(t, "item", nil)
	want := w.want(a.email, id, 4)
	if want == 200 {
		want = 204
	}
	code, v := a.do(t, "DELETE", "/drive/v3/files/"+id, "")
	if code != want {
		t.Fatalf("delete: %d, want %d: %v", code, want, v)
	}
	if code == 204 {
		w.m.remove(id)
	}
}

func (w *modelWorld) compare(t *rapid.T) {
	for _, e := range w.emails {
		a := w.people[e]
		var seen, live []string
		for _, id := range slices.Sorted(maps.Keys(w.m)) {
			want := 404
			if w.m.role(e, id) > 0 {
				want = 200
				seen = append(seen, id)
				if !w.m.trashed(id) {
					live = append(live, id)
				}
			}
			if code, v := a.do(t, "GET", "/drive/v3/files/"+id, ""); code != want {
				t.Fatalf("%s gets %s: %d, want %d: %v", e, id, code, want, v)
			}
		}
		if got := a.list(t, ""); !slices.Equal(got, seen) {
			t.Fatalf("%s lists %v, want %v", e, got, seen)
		}
		if got := a.list(t, "trashed=false"); !slices.Equal(got, live) {
			t.Fatalf("%s lists as live %v, want %v", e, got, live)
		}
		a.follow(t)
		if got := slices.Sorted(maps.Keys(a.mirror)); !slices.Equal(got, seen) {
			t.Fatalf("%s's mirror has %v, want %v", e, got, seen)
		}
	}
}
