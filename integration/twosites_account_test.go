//go:build long

package integration

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"
)

// driveUser is somebody with an account at the Drive who speaks to it without this program.
type driveUser struct {
	t     testing.TB
	drive *localDrive
	email string
	key   string
	home  string // the id of SyftBox/
}

const (
	folderKind = "application/vnd.google-apps.folder"
	peersPart  = "syft_datasite#0.1.117#"
)

// user signs in as somebody.
func (d *localDrive) user(email string) *driveUser {
	d.t.Helper()
	b, err := os.ReadFile(d.token(email))
	if err != nil {
		d.t.Fatal(err)
	}
	var key struct{ Token string }
	if err := json.Unmarshal(b, &key); err != nil {
		d.t.Fatal(err)
	}
	return &driveUser{t: d.t, drive: d, email: email, key: key.Token}
}

// ask makes a request, which must succeed.
func (u *driveUser) ask(method, path, kind string, body []byte, answer any) {
	u.t.Helper()
	q, err := http.NewRequest(method, u.drive.url+path, bytes.NewReader(body))
	if err != nil {
		u.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+u.key)
	q.Header.Set("Content-Type", kind)
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		u.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode/100 != 2 {
		u.t.Fatalf("%s %s as %s: %s: %s %v", method, path, u.email, a.Status, text, err)
	}
	if answer == nil {
		return
	}
	if raw, ok := answer.(*[]byte); ok {
		*raw = text
		return
	}
	if err := json.Unmarshal(text, answer); err != nil {
		u.t.Fatalf("%s %s: %v: %s", method, path, err, text)
	}
}

func (u *driveUser) tell(method, path string, body, answer any) {
	u.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		u.t.Fatal(err)
	}
	u.ask(method, path, "application/json", b, answer)
}

// create makes a folder (kind is folderKind) or a file, and gives its id.
func (u *driveUser) create(name, kind, parent string, content []byte) string {
	u.t.Helper()
	meta := map[string]any{"name": name, "mimeType": kind}
	if parent != "" {
		meta["parents"] = []string{parent}
	}
	var made struct{ ID string }
	if kind == folderKind {
		u.tell("POST", "/drive/v3/files", meta, &made)
		return made.ID
	}
	head, err := json.Marshal(meta)
	if err != nil {
		u.t.Fatal(err)
	}
	var body bytes.Buffer
	fmt.Fprintf(&body, "--part\r\nContent-Type: application/json\r\n\r\n%s\r\n--part\r\nContent-Type: %s\r\n\r\n", head, kind)
	body.Write(content)
	body.WriteString("\r\n--part--\r\n")
	u.ask("POST", "/upload/drive/v3/files?uploadType=multipart", "multipart/related; boundary=part", body.Bytes(), &made)
	return made.ID
}

func (u *driveUser) share(id, with, role string) {
	u.t.Helper()
	u.tell("POST", "/drive/v3/files/"+id+"/permissions?sendNotificationEmail=false", map[string]string{"type": "user", "role": role, "emailAddress": with}, nil)
}

// driveFile is an object as a list shows it.
type driveFile struct {
	ID, Name string
	Parents  []string
	Size     string
}

// find lists what meets a query.
func (u *driveUser) find(query string) []driveFile {
	u.t.Helper()
	var list struct{ Files []driveFile }
	u.ask("GET", "/drive/v3/files?pageSize=1000&fields=files(id,name,parents,size)&q="+url.QueryEscape(query), "", nil, &list)
	return list.Files
}

// named gives the id of the only object with a name.
func (u *driveUser) named(name string) string {
	u.t.Helper()
	list := u.find(fmt.Sprintf("name = '%s' and trashed = false", name))
	if len(list) != 1 {
		u.t.Fatalf("%s sees %d objects called %s", u.email, len(list), name)
	}
	return list[0].ID
}

// inside lists what lies in a folder.
func (u *driveUser) inside(folder string) []driveFile {
	u.t.Helper()
	return u.find(fmt.Sprintf("'%s' in parents and trashed = false", folder))
}

// box is the folder of a datasite's exchange with a peer: kind is inbox or outbox.
func box(datasite, kind, peer string) string { return peersPart + datasite + "#" + kind + "#" + peer }

// request asks for exchange with somebody, as syft-client does; it gives the ids of inbox and outbox.
func (u *driveUser) request(of string) (inbox, outbox string) {
	u.t.Helper()
	if u.home == "" {
		u.home = u.create("SyftBox", folderKind, "", nil)
		version := u.create("SYFT_version.json", "text/plain", u.home, []byte(`{"syft_client_version": "0.1.117", "min_supported_syft_client_version": "0.1.93",
			"protocol_version": "1.0.0", "min_supported_protocol_version": "1.0.0", "updated_at": "2026-01-01T00:00:04.123457Z"}`))
		u.share(version, of, "reader")
	}
	inbox, outbox = u.create(box(of, "inbox", u.email), folderKind, u.home, nil), u.create(box(of, "outbox", u.email), folderKind, u.home, nil)
	u.share(inbox, of, "writer")
	u.share(outbox, of, "writer")
	return inbox, outbox
}

// uid is a random-looking identity that is n.
func uid(n int) string { return fmt.Sprintf("0d2f6a0e-6f5e-4a55-8a1f-%012d", n) }

// change is one file of a proposal, as it stands in the message; edit makes it wrong.
func change(n int, path, content string, edit func(map[string]any)) map[string]any {
	c := map[string]any{"id": uid(1000 + n), "old_hash": nil, "new_hash": hash(content), "submitted_timestamp": seconds(), "path_in_datasite": path,
		"content": content, "datasite_email": owen, "is_deleted": false, "content_type": "text"}
	if edit != nil {
		edit(c)
	}
	return c
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func seconds() float64 { return float64(time.Now().UnixMicro()) / 1e6 }

// proposal is the JSON of a message.
func proposal(t testing.TB, sender string, changes ...map[string]any) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"id": uid(1), "sender_email": sender, "proposed_file_changes": changes})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// packed is the archive of a message.
func packed(t testing.TB, text []byte) []byte {
	t.Helper()
	return packedFrom(t, int64(len(text)), bytes.NewReader(text))
}

// packedFrom packs what r gives, which its header says to be size bytes.
func packedFrom(t testing.TB, size int64, r io.Reader) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: "proposed_file_changes.json", Mode: 0o644, Size: size, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(w, r)
	if err != nil {
		t.Fatal(err)
	}
	if n == size { // else it is cut off
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// post puts a message into a folder and gives its name.
func (u *driveUser) post(folder string, n int, at float64, archive []byte) string {
	u.t.Helper()
	name := fmt.Sprintf("msgv2_%.6f_%s.tar.gz", at, uid(n))
	u.create(name, "application/gzip", folder, archive)
	return name
}
