package statedir

import (
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"testing"
)

// failing fails one named step.
type failing string

var errTest = errors.New("failed by the test")

func (f failing) Before(op string) error {
	if op == string(f) {
		return errTest
	}
	return nil
}

func open(t *testing.T, f Fault) *Dir {
	t.Helper()
	d, err := Open(filepath.Join(t.TempDir(), "state"), f)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWriteReplacesOrKeeps(t *testing.T) {
	d := open(t, nil)
	if err := d.Write("op", "f", []byte("old")); err != nil {
		t.Fatal(err)
	}
	d.fault = failing("op:rename")
	if err := d.Write("op", "f", []byte("new")); !errors.Is(err, errTest) {
		t.Fatalf("the failed step is not told: %v", err)
	}
	if b, err := d.Read("f"); err != nil || string(b) != "old" {
		t.Fatalf("after a failed write: %q, %v", b, err)
	}
	if entries, err := os.ReadDir(d.Path()); err != nil || len(entries) != 1 {
		t.Fatalf("left behind: %v, %v", entries, err)
	}
	d.fault = nil
	if err := d.Write("op", "f", []byte("new")); err != nil {
		t.Fatal(err)
	}
	b, err := d.Read("f")
	info, serr := os.Stat(d.Path("f"))
	if err != nil || serr != nil || string(b) != "new" || info.Mode().Perm() != 0o600 {
		t.Fatalf("%q %v, %v %v", b, info.Mode(), err, serr)
	}
}

func TestJSON(t *testing.T) {
	d := open(t, nil)
	in := map[string]int{"a": 1}
	if err := d.WriteJSON("op", "f.json", in); err != nil {
		t.Fatal(err)
	}
	var out map[string]int
	if err := d.ReadJSON("f.json", &out); err != nil || out["a"] != 1 {
		t.Fatalf("%v, %v", out, err)
	}
	if err := d.ReadJSON("none.json", &out); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.WriteFile(d.Path("bad.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.ReadJSON("bad.json", &out); err == nil {
		t.Error("half a file was read")
	}
}

func TestOpenRefusesWhatOthersCanRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, nil); err == nil {
		t.Fatal("a folder that others can read was opened")
	}
}

func TestLock(t *testing.T) {
	d := open(t, nil)
	l, err := d.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Lock(); !errors.Is(err, ErrLocked) {
		t.Fatalf("a second lock: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = d.Lock(); err != nil {
		t.Fatalf("after the first ended: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSweep(t *testing.T) {
	d := open(t, nil)
	sub, err := d.Sub("sub")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{d.Path("a" + tempMark + "1"), sub.Path("b" + tempMark + "2"), sub.Path("kept")} {
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Sweep(); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(d.Path("*", "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != "kept" {
		t.Errorf("left: %q, %v", left, err)
	}
	if _, err := os.Stat(d.Path("a" + tempMark + "1")); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("not swept: %v", err)
	}
}
