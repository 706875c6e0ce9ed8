package draft

import (
	"errors"
	iofs "io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openmined/syftfs/jobs"
)

// config is a complete config.yaml.
func config(name string, files ...string) string {
	body, err := jobs.Config{Name: name, SubmittedAt: time.Date(2026, 6, 11, 9, 30, 0, 0, time.UTC), Entrypoint: "main.py", Files: files}.Marshal()
	if err != nil {
		panic(err)
	}
	return string(body)
}

// copyIn makes the files as cp -r does, in the order of their paths.
func copyIn(t *testing.T, s *Store, files map[string]string) {
	t.Helper()
	made := map[string]bool{}
	for _, p := range keys(files) {
		for i, c := range p {
			if dir := p[:i]; c == '/' && !made[dir] {
				made[dir] = true
				if err := s.Mkdir(dir, 0o755); err != nil && !errors.Is(err, iofs.ErrExist) {
					t.Fatal(err)
				}
			}
		}
		write(t, s, p, files[p])
	}
}

func TestWhatIsSealed(t *testing.T) {
	complete := map[string]string{
		"job/code/main.py": "print()\n", "job/code/lib/u.py": "", "job/config.yaml": config("job", "lib/u.py", "main.py"), "job/run.sh": "true\n",
	}
	with := func(base map[string]string, more ...string) map[string]string {
		out := map[string]string{}
		for k, v := range base {
			out[k] = v
		}
		for i := 0; i+1 < len(more); i += 2 {
			if more[i+1] == "-" {
				delete(out, more[i])
			} else {
				out[more[i]] = more[i+1]
			}
		}
		return out
	}
	bare := map[string]string{"job/main.py": "print()\n", "job/data.csv": "1\n"}
	tests := []struct {
		name    string
		files   map[string]string
		entry   string
		want    []string // what is placed; nil: nothing
		problem string
		leftOut string
	}{
		{"bare folder", bare, "job", []string{"code/data.csv", "code/main.py", "config.yaml", "run.sh"}, "", ""},
		{"bare folder with one script of another name", map[string]string{"job/go.py": ""}, "job", []string{"code/go.py", "config.yaml", "run.sh"}, "", ""},
		{"bare folder with two scripts", map[string]string{"job/a.py": "", "job/b.py": ""}, "job", nil, "main.py", ""},
		{"bare folder without a script", map[string]string{"job/README.md": ""}, "job", nil, "no .py file", ""},
		{"single python script", map[string]string{"fit.py": "print()\n"}, "fit.py", []string{"code/fit.py", "config.yaml", "run.sh"}, "", ""},
		{"single shell script", map[string]string{"fit.sh": "echo hi\n"}, "fit.sh", []string{"code/script.sh", "config.yaml", "run.sh"}, "", ""},
		{"complete folder", complete, "job", []string{"code/lib/u.py", "code/main.py", "config.yaml", "run.sh"}, "", ""},
		{"complete folder without run.sh", with(complete, "job/run.sh", "-"), "job", nil, "missing: run.sh", ""},
		{"complete folder without config.yaml", with(complete, "job/config.yaml", "-"), "job", nil, "missing: config.yaml", ""},
		{"complete folder without code", map[string]string{"job/run.sh": "", "job/config.yaml": config("job")}, "job", nil, "missing: code/", ""},
		{"complete folder without a listed file", with(complete, "job/code/lib/u.py", "-"), "job", nil, "missing: code/lib/u.py", ""},
		{"complete folder with a file beside", with(complete, "job/README.md", "x"), "job", nil, "move README.md into code/", ""},
		{"config of another name", with(complete, "job/config.yaml", config("other")), "job", nil, `says "other"`, ""},
		{"config that claims another submitter", with(complete, "job/config.yaml", config("job")+"submitted_by: boss@lab.org\n"), "job", nil, "impostor", ""},
		{"config that is no YAML", with(complete, "job/config.yaml", "\tname: x"), "job", nil, "config.yaml cannot be used", ""},
		{"run.sh is a folder", with(complete, "job/run.sh", "-", "job/run.sh/x", "y"), "job", nil, "must be a file", ""},
		{"code is a file", map[string]string{"job/code": "x", "job/run.sh": "", "job/config.yaml": config("job")}, "job", nil, "must be a folder", ""},
		{"copied answers", with(complete, "job/outputs/r.csv", "1", "job/logs/stdout.txt", "", "job/code/outputs/old", ""), "job",
			[]string{"code/lib/u.py", "code/main.py", "config.yaml", "run.sh"}, "", "outputs/ "},
		{"answers in a bare folder", with(bare, "job/outputs/r.csv", "1", "job/logs/x", ""), "job",
			[]string{"code/data.csv", "code/main.py", "config.yaml", "run.sh"}, "", "logs/ "},
		{"dot-files and excluded names", with(bare, "job/.env", "KEY", "job/.git/HEAD", "", "job/node_modules/x/y.js", "", "job/lib/__pycache__/a.pyc", "", "job/lib/u.py", ""), "job",
			[]string{"code/data.csv", "code/lib/u.py", "code/main.py", "config.yaml", "run.sh"}, "", "node_modules/ "},
		{"rule files", with(bare, "job/syft.pub.yaml", "rules: []", "job/lib/SyftPerm.yaml", "", "job/lib/u.py", ""), "job",
			[]string{"code/data.csv", "code/lib/u.py", "code/main.py", "config.yaml", "run.sh"}, "", "syft.pub.yaml "},
		{"config lists a name that never travels", with(complete, "job/config.yaml", config("job", ".env", "main.py"), "job/code/.env", ""), "job",
			[]string{"code/lib/u.py", "code/main.py", "config.yaml", "run.sh"}, "", "code/.env "},
		{"control character", map[string]string{"job/main.py": "", "job/a\nb": ""}, "job", nil, "control character", ""},
		{"entrypoint that a shell reads", map[string]string{"job/my script.py": ""}, "job", nil, "rename the script", ""},
		{"other file at the top", map[string]string{"notes.txt": "x"}, "notes.txt", nil, "", ""},
		{"held by its name", map[string]string{".job/main.py": ""}, ".job", nil, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := w.start()
				defer s.Close()
				copyIn(t, s, tt.files)
				pass(10 * time.Second)
				d := draftOf(t, s, tt.entry)
				got := w.submissions()
				if tt.want == nil {
					if len(got) != 0 {
						t.Errorf("submitted %v", keys(got[0].files))
					}
					if (tt.problem == "") != (d.Problem == "") || !strings.Contains(d.Problem, tt.problem) {
						t.Errorf("problem %q", d.Problem)
					}
					return
				}
				if len(got) != 1 {
					t.Fatalf("%d submissions; %+v", len(got), d)
				}
				if !slices.Equal(keys(got[0].files), tt.want) {
					t.Errorf("files %v", keys(got[0].files))
				}
				if tt.leftOut != "" && !slices.ContainsFunc(d.LeftOut, func(l string) bool { return strings.HasPrefix(l, tt.leftOut) }) {
					t.Errorf("left out %q", d.LeftOut)
				}
				cfg, err := jobs.ParseConfig([]byte(got[0].files["config.yaml"]))
				if err != nil || cfg.Name != d.ID.Name {
					t.Errorf("config %+v, %v", cfg, err)
				}
				for _, f := range cfg.Files {
					if _, ok := got[0].files["code/"+f]; !ok && f != ".env" {
						t.Errorf("config lists %s, which was not placed", f)
					}
				}
			})
		})
	}
}

func TestMadeFilesBecomePartOfTheDraftWhenWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start()
		defer s.Close()
		copyIn(t, s, map[string]string{"job/main.py": "1"})
		pass(6 * time.Second)
		made := draftOf(t, s, "job").Made["run.sh"]
		f, err := s.OpenFile("job/run.sh", os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if i, err := f.Stat(); err != nil || i.Size != int64(len(made)) {
			t.Errorf("size %d, %v; made %d", i.Size, err, len(made))
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		pass(6 * time.Second)
		if d := draftOf(t, s, "job"); !strings.Contains(d.Problem, "missing: code/, config.yaml") {
			t.Errorf("problem %q", d.Problem)
		}
	})
}

func TestLimits(t *testing.T) {
	host := t.TempDir()
	deep := path.Join(slices.Repeat([]string{"d"}, 31)...)
	if err := os.MkdirAll(path.Join(host, deep), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path.Join(host, "big"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path.Join(host, "big"), jobs.MaxBytes); err != nil {
		t.Fatal(err)
	}
	if _, err := survey(host, "job", false, false); err != nil {
		t.Errorf("at the limits: %v", err)
	}
	if err := os.Mkdir(path.Join(host, deep, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := survey(host, "job", false, false); err == nil {
		t.Error("one level too many is taken")
	}
	if err := os.Remove(path.Join(host, deep, "d")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path.Join(host, "more"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := survey(host, "job", false, false); !errors.Is(err, syscall.EFBIG) {
		t.Errorf("one byte too many: %v", err)
	}
	if err := os.Remove(path.Join(host, "big")); err != nil {
		t.Fatal(err)
	}
	for _, special := range []func(string) error{
		func(p string) error { return os.Symlink("/etc/passwd", p) },
		func(p string) error { return syscall.Mkfifo(p, 0o600) },
	} {
		p := path.Join(host, "special")
		if err := special(p); err != nil {
			t.Fatal(err)
		}
		if _, err := survey(host, "job", false, false); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("special file: %v", err)
		}
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDependencies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start()
		defer s.Close()
		copyIn(t, s, map[string]string{"job/main.py": "c.mock_files\n",
			"job/requirements.txt": "pandas==2.0.0 # why\n\n# comment\n-r more.txt\ntyping; python_version < \"3.9\"\n", "job/pyproject.toml": ""})
		pass(6 * time.Second)
		got := w.submissions()
		if len(got) != 1 {
			t.Fatalf("problem %q", draftOf(t, s, "job").Problem)
		}
		if want := `uv pip install "syft-client==0.1.117" "pandas==2.0.0" "typing; python_version < '3.9'"`; !strings.Contains(got[0].files["run.sh"], want+"\n") {
			t.Errorf("run.sh %s", got[0].files["run.sh"])
		}
		if !strings.Contains(got[0].files["run.sh"], "uv sync") {
			t.Error("pyproject.toml is not used")
		}
		if d := draftOf(t, s, "job"); len(d.Findings) != 2 {
			t.Errorf("advice %q", d.Findings)
		}
	})
}
