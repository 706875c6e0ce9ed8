package jobs

import (
	"errors"
	"fmt"
	iofs "io/fs"

	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

// The parts of the acceptance list that are decided here.

// rejected checks that the job was turned away with a reason that contains word, and that nothing ran and nothing else was answered.
func (s *site) rejected(id ID, word string) {
	s.t.Helper()
	j := s.want(id, Rejected)
	if !strings.Contains(j.State.ReviewReason, word) || j.State.RejectedBy != string(owen) {
		s.t.Errorf("%s rejected by %q: %q, want %q", id, j.State.RejectedBy, j.State.ReviewReason, word)
	}
	if s.runner.runs[id] != 0 {
		s.t.Errorf("%s ran", id)
	}
	entries, err := os.ReadDir(s.host(id.Review()))
	if err != nil || len(entries) != 1 {
		s.t.Errorf("%s: review folder holds %v (%v)", id, entries, err)
	}
}

// answered lists the folders of the review part.
func (s *site) answered() map[string]bool {
	dirs, err := filepath.Glob(filepath.Join(s.root, string(owen), datasite.JobReviewDir, "*", "*"))
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]bool{}
	for _, d := range dirs {
		out[filepath.Base(d)] = true
	}
	return out
}

func TestA01NameThatClimbs(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		e := s.start()
		other := job1("other")
		s.put(other, submission("other"))
		if err := e.Reject(t.Context(), other, byOwner, "no"); err != nil {
			t.Fatal(err)
		}
		before := s.read(other.Review().Join(StateFile))
		for folder, name := range map[string]string{"ok": "../bob@x.org/payroll", "ok2": "other", "ok3": "/etc/x", "ok4": "ok4 "} {
			id := job1(folder)
			s.put(id, submission(name))
			if _, there := submission(name)[ConfigFile]; !there {
				t.Fatal("no configuration")
			}
			s.rejected(id, "name")
		}
		if after := s.read(other.Review().Join(StateFile)); after != before {
			t.Errorf("the other job became %s", after)
		}
		if got := s.answered(); len(got) != 5 {
			t.Errorf("answered %v", got)
		}
		if _, err := os.Stat(s.host(datasite.Path{Owner: owen}.Join(datasite.JobReviewDir, "bob@x.org"))); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("bob's folder: %v", err)
		}
	})
}

func TestA02Links(t *testing.T) {
	for name, c := range map[string]struct{ at, target string }{
		"relative":        {"code/data.csv", "../../../../../../private/syft_datasets/secret/data.csv"},
		"absolute":        {"code/passwd", "/etc/passwd"},
		"run.sh":          {RunFile, "code/main.py"},
		"config.yaml":     {ConfigFile, "other.yaml"},
		"code":            {CodeDir, "/etc"},
		"a linked folder": {"code/lib", "/etc"},
		"dangling":        {"code/nothing", "nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *site) {
				id := job1("a")
				files := submission("a")
				for f := range files {
					if f == c.at || strings.HasPrefix(f, c.at+"/") {
						delete(files, f)
					}
				}
				s.put(id, files)
				if err := os.Symlink(c.target, s.host(id.Inbox().Join(c.at))); err != nil {
					t.Fatal(err)
				}
				s.start() // dirTree fails the test if a link is opened
				s.rejected(id, "not a regular file")
			})
		})
	}
}

func TestA03SwapAfterApproval(t *testing.T) {
	changes := []map[string]string{
		{RunFile: "#!/bin/bash\ncat /etc/passwd\n"},
		{CodeDir + "/main.py": "print('evil')\n"},
		{CodeDir + "/sitecustomize.py": "print('evil')\n"},
	}
	t.Run("after", func(t *testing.T) {
		for _, change := range changes {
			bubble(t, func(t *testing.T, s *site) {
				s.runner.ready = errFault // so that it waits
				s.start()
				id := job1("a")
				s.put(id, submission("a"))
				d := s.get(id).Digest
				s.approve(id)
				synctest.Wait()
				s.put(id, change)
				j := s.want(id, Approved)
				if j.Digest != d || len(j.Notes) != 1 || !strings.Contains(j.Notes[0], "changed after approval") {
					t.Errorf("digest %s, notes %q", j.Digest, j.Notes)
				}
				if err := s.engine.Approve(t.Context(), id, byOwner, Approval{Digest: string(d)}); !errors.Is(err, ErrConflict) {
					t.Errorf("a later approval: %v", err)
				}
				s.runner.mu.Lock()
				s.runner.ready = nil
				s.runner.before = func(spec Spec) {
					if files, err := ReadManifest(t.Context(), os.DirFS(spec.Work)); err != nil || DigestOf(files) != d {
						t.Errorf("%v: %s runs, %s was approved (%v)", change, DigestOf(files), d, err)
					}
				}
				s.runner.mu.Unlock()
				s.engine.Kick()
				synctest.Wait()
				s.want(id, Done)
				s.stop() // the note outlives the program
				s.start()
				if j := s.want(id, Done); len(j.Notes) != 1 {
					t.Errorf("notes %q", j.Notes)
				}
			})
		}
	})
	t.Run("while pending", func(t *testing.T) {
		for _, change := range changes {
			bubble(t, func(t *testing.T, s *site) {
				s.start()
				id := job1("a")
				s.put(id, submission("a"))
				d := s.get(id).Digest
				// No change was announced yet when the owner approves what was shown.
				for n, body := range change {
					if err := os.WriteFile(s.host(id.Inbox().Join(n)), []byte(body), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				err := s.engine.Approve(t.Context(), id, byOwner, Approval{Digest: string(d)})
				var conflict *ConflictError
				if !errors.As(err, &conflict) || conflict.Digest == d {
					t.Errorf("approve with the old digest: %v", err)
				}
				j := s.want(id, Pending)
				if j.Revision != 2 || j.Digest == d {
					t.Errorf("revision %d, digest %s", j.Revision, j.Digest)
				}
				if copies, err := filepath.Glob(s.state + "/jobs/*/rev-*"); err != nil || len(copies) != 1 {
					t.Errorf("copies %v %v", copies, err)
				}
				s.approve(id)
				synctest.Wait()
				s.want(id, Done)
			})
		}
	})
	t.Run("the same bytes again are no change", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *site) {
			s.start()
			id := job1("a")
			s.put(id, submission("a"))
			s.put(id, submission("a"))
			if j := s.want(id, Pending); j.Revision != 1 {
				t.Errorf("revision %d", j.Revision)
			}
			s.approve(id)
			synctest.Wait()
			s.put(id, submission("a"))
			if j := s.want(id, Done); len(j.Notes) != 0 {
				t.Errorf("notes %q", j.Notes)
			}
		})
	})
}

func TestA04HalfCopiedFolder(t *testing.T) {
	whole := submission("a", "lib/util.py", "x = 1\n")
	part := func(names ...string) map[string]string {
		out := map[string]string{}
		for _, n := range names {
			out[n] = whole[n]
		}
		return out
	}
	t.Run("the rest comes in time", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *site) {
			s.start()
			id := job1("a")
			s.put(id, part(ConfigFile))
			if j := s.want(id, Received); !strings.Contains(j.Message, "code/") {
				t.Errorf("message %q", j.Message)
			}
			elapse(8 * time.Second)
			s.put(id, part(RunFile, "code/main.py"))
			if j := s.want(id, Received); !strings.Contains(j.Message, "lib/util.py") {
				t.Errorf("message %q", j.Message)
			}
			s.put(id, part("code/lib/util.py"))
			s.want(id, Pending)
		})
	})
	t.Run("after ten minutes", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *site) {
			s.start()
			id := job1("a")
			s.put(id, part(ConfigFile, RunFile))
			elapse(incompleteAfter - time.Second)
			s.want(id, Received)
			elapse(2 * time.Second)
			s.rejected(id, "incomplete")
			s.put(id, part("code/main.py"))
			s.rejected(id, "incomplete")
			s.put(id, part("code/lib/util.py"))
			if j := s.want(id, Pending); j.State.RejectedBy != "" || j.State.ReviewReason != "" {
				t.Errorf("got %+v", j.State)
			}
			s.approve(id)
			synctest.Wait()
			s.want(id, Done)
		})
	})
	t.Run("the time counts over a restart", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *site) {
			s.start()
			id := job1("a")
			s.put(id, part(ConfigFile))
			s.stop()
			elapse(incompleteAfter)
			s.start()
			s.rejected(id, "incomplete")
		})
	})
	t.Run("what never travels is not waited for", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *site) {
			s.start()
			id := job1("a")
			files := submission("a")
			files[ConfigFile] = strings.Replace(files[ConfigFile], "- main.py\n", "- main.py\n- .git/HEAD\n- .venv/bin/python\n- lib/__pycache__/x.pyc\n- .env\n- outputs/old.csv\n", 1)
			s.put(id, files)
			s.want(id, Pending)
		})
	})
	t.Run("a revision arrives file by file", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *site) {
			s.start()
			id := job1("a")
			s.put(id, whole)
			d := s.get(id).Digest
			next := submission("a", "lib/util.py", "x = 2\n", "lib/more.py", "")
			s.put(id, map[string]string{ConfigFile: next[ConfigFile]})
			if j := s.want(id, Pending); j.Digest != d || len(j.Notes) != 1 {
				t.Errorf("digest %s, notes %q", j.Digest, j.Notes)
			}
			for _, n := range []string{"/lib/util.py", "/lib/more.py"} { // complete with the last one only
				s.put(id, map[string]string{CodeDir + n: next[CodeDir+n]})
			}
			if j := s.want(id, Pending); j.Digest == d || len(j.Notes) != 0 || j.Revision != 2 {
				t.Errorf("digest %s, revision %d, notes %q", j.Digest, j.Revision, j.Notes)
			}
		})
	})
}

func TestA05Impostor(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want Status
	}{
		"another submitter":  {"submitted_by: boss@lab.org\n", Rejected},
		"another datasite":   {"datasite_email: nina@statistics.example\n", Rejected},
		"the true ones":      {"submitted_by: rachel@science.example\ndatasite_email: owen@centre.example\n", Pending},
		"another spelling":   {"submitted_by: Rachel@Science.Example\n", Pending},
		"not a text":         {"submitted_by: [rachel@science.example]\n", Rejected},
		"an unknown key too": {"submitter: boss@lab.org\n", Pending},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *site) {
				s.start()
				id := job1("a")
				files := submission("a")
				files[ConfigFile] += c.line
				s.put(id, files)
				j := s.want(id, c.want)
				if j.ID.Submitter != rachel || (c.want == Rejected && name != "not a text" && !strings.Contains(j.State.ReviewReason, "impostor")) {
					t.Errorf("got %q, reason %q", j.ID, j.State.ReviewReason)
				}
			})
		})
	}
}

func TestA06NamesThatCollide(t *testing.T) {
	for name, group := range map[string][]string{
		"case":     {"REPORT", "Report", "report"},
		"accents":  {"r\u00e9sum\u00e9", "re\u0301sume\u0301"},
		"sharp s":  {"STRASSE", "stra\u00dfe"},
		"one name": {"only"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *site) {
				for _, n := range group { // all at once
					s.put(job1(n), submission(n))
				}
				s.put(ID{owen, nina, group[0]}, submission(group[0])) // another person may
				s.start()
				pending := 0
				for _, n := range group {
					switch j := s.get(job1(n)); {
					case j.Status == Pending:
						pending++
					case j.Status != Rejected || !strings.Contains(j.State.ReviewReason, "duplicate") && !strings.Contains(j.State.ReviewReason, "name"):
						t.Errorf("%q is %s: %s", n, j.Status, j.State.ReviewReason)
					}
				}
				if pending != 1 {
					t.Errorf("%d are pending", pending)
				}
				s.want(ID{owen, nina, group[0]}, Pending)
				// One that comes later finds the name taken, whatever became of the job.
				for _, n := range group {
					if j := s.get(job1(n)); j.Status == Pending {
						s.approve(job1(n))
					}
				}
				synctest.Wait()
				if name == "case" {
					s.put(job1("rEPORT"), submission("rEPORT"))
					s.rejected(job1("rEPORT"), "duplicate")
					s.want(job1("REPORT"), Done)
				}
			})
		})
	}
}

func TestA07A08Configurations(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		ids := map[string]ID{}
		for name, c := range badConfigs() {
			id := job1("bad " + strings.NewReplacer(",", "", "!", "").Replace(name))
			ids[name] = id
			files := submission(id.Name)
			files[ConfigFile] = c.src
			s.put(id, files)
		}
		good := job1("good")
		s.put(good, submission("good"))
		s.start()
		for name, id := range ids {
			s.rejected(id, "config")
			if j := s.get(id); !strings.Contains(j.State.ReviewReason, badConfigs()[name].names) {
				t.Errorf("%s: reason %q does not name %q", name, j.State.ReviewReason, badConfigs()[name].names)
			}
		}
		s.want(good, Pending)
		if got := len(s.engine.List()); got != len(ids)+1 {
			t.Errorf("%d listed", got)
		}
		// Repaired, it is judged again.
		id := ids["type ruby"]
		s.put(id, submission(id.Name))
		s.want(id, Pending)
	})
}

func TestA09Names(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		bad := []string{"a\nb", "a\tb", "\x1b[2J", strings.Repeat("x", 201), "-rf", "a ", " a", ".x", "a.", "job[1]", "{{.UserEmail}}", "a*", "what?", "a\\b", "!a", "a\u202eb", "a\u2028b", "\u00a0a"}
		for _, n := range bad {
			if err := CheckName(n); !errors.Is(err, ErrName) || !errors.Is(err, unix.EINVAL) {
				t.Errorf("CheckName(%q) = %v", n, err)
			}
			s.put(job1(n), submission(n))
		}
		s.start()
		for _, n := range bad {
			s.rejected(job1(n), "name")
			if r := s.get(job1(n)).State.ReviewReason; strings.ContainsAny(r, "\n\t\x1b") {
				t.Errorf("the reason shows it as it is: %q", r)
			}
		}
	})
}

func TestA10SpecialFiles(t *testing.T) {
	socket := func(p string) error {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p, Net: "unix"})
		if err != nil {
			return err
		}
		l.SetUnlinkOnClose(false)
		return l.Close()
	}
	for name, c := range map[string]struct {
		at   string
		make func(p string) error
		word string
	}{
		"FIFO in code":         {"code/f", func(p string) error { return unix.Mkfifo(p, 0o600) }, "a FIFO"},
		"FIFO for run.sh":      {RunFile, func(p string) error { return unix.Mkfifo(p, 0o600) }, "a FIFO"},
		"FIFO for config.yaml": {ConfigFile, func(p string) error { return unix.Mkfifo(p, 0o600) }, "a FIFO"},
		"FIFO beside":          {"pipe", func(p string) error { return unix.Mkfifo(p, 0o600) }, "pipe"},
		"folder for run.sh":    {RunFile, func(p string) error { return os.Mkdir(p, 0o755) }, "a folder"},
		"folder for config":    {ConfigFile, func(p string) error { return os.Mkdir(p, 0o755) }, "a folder"},
		"file for code":        {CodeDir, func(p string) error { return os.WriteFile(p, nil, 0o644) }, "a file"},
		"a fourth entry":       {"extra", func(p string) error { return os.Mkdir(p, 0o755) }, "extra"},
		"socket in code":       {"code/s", socket, "a socket"},
		"too deep":             {"code/" + strings.Repeat("d/", 31) + "x", func(p string) error { return os.MkdirAll(p, 0o755) }, "levels"},
		"control character":    {"code/a\nb", func(p string) error { return os.WriteFile(p, nil, 0o644) }, "control"},
		"not UTF-8":            {"code/\xff", func(p string) error { return os.WriteFile(p, nil, 0o644) }, "UTF-8"},
		"control in a folder": {"code/a\x1b/x", func(p string) error {
			return errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, nil, 0o644))
		}, "control"},
		"a sparse file, 201 MB": {"code/big", func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o644), os.Truncate(p, 201<<20)) }, "too big"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *site) {
				id := job1("a")
				files := submission("a")
				for f := range files {
					if f == c.at || strings.HasPrefix(f, c.at+"/") {
						delete(files, f)
					}
				}
				s.put(id, files)
				// A socket's path is short: make it from its folder.
				if err := os.MkdirAll(filepath.Dir(s.host(id.Inbox().Join(c.at))), 0o755); err != nil {
					t.Fatal(err)
				}
				t.Chdir(filepath.Dir(s.host(id.Inbox().Join(c.at))))
				if err := c.make(filepath.Base(s.host(id.Inbox().Join(c.at)))); err != nil && name != "control in a folder" {
					t.Fatal(err)
				}
				if name == "control in a folder" {
					if err := os.WriteFile("x", nil, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				s.start()
				s.rejected(id, c.word)
			})
		})
	}
	t.Run("many", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *site) {
			const many = 200
			for i := range many {
				id := job1(fmt.Sprintf("fifo%03d", i))
				s.put(id, map[string]string{ConfigFile: submission(id.Name)[ConfigFile]})
				if err := unix.Mkfifo(s.host(id.Inbox().Join(RunFile)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s.start()
			s.rejected(job1("fifo000"), "not a regular file")
			if got := len(s.engine.List()); got != many {
				t.Errorf("%d listed", got)
			}
		})
	})
	t.Run("too many", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *site) {
			s.start()
			for i := range MaxWaiting + 1 {
				s.put(job1(fmt.Sprint(i)), submission(fmt.Sprint(i)))
			}
			s.rejected(job1(fmt.Sprint(MaxWaiting)), "wait for a decision")
			s.put(ID{owen, nina, "a"}, submission("a"))
			s.want(ID{owen, nina, "a"}, Pending)
		})
	})
	t.Run("enclave", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *site) {
			s.start()
			files := submission("a")
			files[ConfigFile] += "job_type: enclave\n"
			s.put(job1("a"), files)
			s.rejected(job1("a"), "enclave job")
		})
	})
}
