package doctor_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/openmined/syftfs/cmd/internal/doctor"
	"github.com/openmined/syftfs/jobs/sandbox"
)

func TestMain(m *testing.M) {
	if handled, code := sandbox.Main(os.Args); handled {
		syscall.Exit(code) // at once; the race detector would take a second for its summary
	}
	os.Exit(m.Run())
}

// site makes the folders of a datasite.
func site(t *testing.T) (state, mount, backing string) {
	t.Helper()
	dir := t.TempDir()
	state, mount, backing = filepath.Join(dir, "state"), filepath.Join(dir, "mount"), filepath.Join(dir, "backing")
	yaml := "email: owner@lab.example\nmount: " + mount + "\nbacking: " + backing + "\n"
	err := errors.Join(os.Mkdir(state, 0o700), os.Mkdir(mount, 0o700), os.MkdirAll(filepath.Join(backing, "owner@lab.example"), 0o700),
		os.WriteFile(filepath.Join(state, "config.yaml"), []byte(yaml), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return state, mount, backing
}

func find(t *testing.T, fs []doctor.Finding, name string) doctor.Finding {
	t.Helper()
	for _, f := range fs {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("no finding %q in %+v", name, fs)
	return doctor.Finding{}
}

func TestMachine(t *testing.T) {
	got := doctor.Run(t.Context(), doctor.Options{})
	for _, name := range []string{"kernel", "bubblewrap", "user namespaces", "sandbox", "python"} {
		if f := find(t, got, name); f.State != doctor.OK || f.Detail == "" {
			t.Errorf("%+v", f)
		}
	}
	for _, f := range got {
		if f.State != doctor.OK && f.Remedy == "" {
			t.Errorf("no remedy: %+v", f)
		}
	}
}

func TestNoBubblewrap(t *testing.T) {
	got := doctor.Run(t.Context(), doctor.Options{Sandbox: sandbox.Config{Bwrap: "/nonexistent"}})
	for _, name := range []string{"bubblewrap", "sandbox"} {
		if f := find(t, got, name); f.State != doctor.Missing || !strings.Contains(f.Remedy, "apt-get install bubblewrap") {
			t.Errorf("%+v", f)
		}
	}
	if doctor.Worst(got) != doctor.Missing {
		t.Error("the whole is not missing")
	}
}

func TestFolders(t *testing.T) {
	tests := []struct {
		name   string
		change func(state, mount, backing string) error
		find   string
		state  doctor.State
		remedy string
	}{
		{"as made: state", nil, "state", doctor.OK, ""},
		{"as made: backing tree", nil, "backing tree", doctor.OK, ""},
		{"as made: mount point", nil, "mount point", doctor.OK, ""},
		{"state open to others", func(s, _, _ string) error { return os.Chmod(s, 0o755) }, "state", doctor.Missing, "chmod 700"},
		{"backing open to others", func(_, _, b string) error { return os.Chmod(b, 0o750) }, "backing tree", doctor.Missing, "chmod 700"},
		{"backing gone", func(_, _, b string) error { return os.RemoveAll(b) }, "backing tree", doctor.Missing, "init"},
		{"configuration broken", func(s, _, _ string) error {
			return os.WriteFile(filepath.Join(s, "config.yaml"), []byte("nonsense: [\n"), 0o600)
		},
			"state", doctor.Missing, "configuration"},
		{"mount point full", func(_, m, _ string) error { return os.WriteFile(filepath.Join(m, "x"), nil, 0o600) }, "mount point", doctor.Missing, "move"},
		{"mount point not there", func(_, m, _ string) error { return os.Remove(m) }, "mount point", doctor.OK, ""},
		{"real jobs", func(_, _, b string) error { return os.Mkdir(filepath.Join(b, "owner@lab.example", "jobs"), 0o700) },
			"hidden files", doctor.Degraded, "mv "},
		{"real .syft", func(_, _, b string) error { return os.Mkdir(filepath.Join(b, ".syft"), 0o700) }, "hidden files", doctor.Degraded, "mv "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			state, mount, backing := site(t)
			if tt.change != nil {
				if err := tt.change(state, mount, backing); err != nil {
					t.Fatal(err)
				}
			}
			// The machine's part is another test's, and is quicker when there is nothing to test.
			got := doctor.Run(t.Context(), doctor.Options{Dir: state, Sandbox: sandbox.Config{Bwrap: "/nonexistent"}})
			if f := find(t, got, tt.find); f.State != tt.state || !strings.Contains(f.Remedy, tt.remedy) {
				t.Errorf("%+v", f)
			}
		})
	}
}
