package draft

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/openmined/syftfs/jobs"
)

func TestNamesOfJobs(t *testing.T) {
	tests := []struct {
		name string
		want error
	}{
		{"analysis", nil},
		{"Analysis Job", nil},
		{"résumé", nil},
		{".held", nil},
		{"resume\u0301", syscall.EINVAL}, // not composed
		{"a\nb", syscall.EINVAL},
		{"a\tb", syscall.EINVAL},
		{"a\x1b[2J", syscall.EINVAL},
		{strings.Repeat("x", 256), syscall.EINVAL},
		{strings.Repeat("x", 201), syscall.EINVAL},
		{"-rf", syscall.EINVAL},
		{"trailing ", syscall.EINVAL},
		{" leading", syscall.EINVAL},
		{"dot.", syscall.EINVAL},
		{"job[1]", syscall.EINVAL},
		{"{{.UserEmail}}", syscall.EINVAL},
		{"a\u202eb", syscall.EINVAL},
		{"a\xffb", syscall.EINVAL},
		{"..", syscall.EINVAL},
		{"syft.pub.yaml", syscall.EINVAL},
		{"Syftperm.YAML", syscall.EINVAL},
		{"node_modules", syscall.EINVAL},
		{"ds@uni.edu", syscall.EEXIST}, // the own link
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newWorld(t).open()
			if err := s.Mkdir(tt.name, 0o755); !errors.Is(err, tt.want) {
				t.Errorf("mkdir: %v, want %v", err, tt.want)
			}
			if tt.want == nil {
				return
			}
			mkdir(t, s, "other")
			if err := s.Rename("other", tt.name); !errors.Is(err, tt.want) {
				t.Errorf("rename: %v, want %v", err, tt.want)
			}
		})
	}
}

func TestDuplicates(t *testing.T) {
	tests := []struct{ first, second string }{
		{"Report", "report"},
		{"report", "REPORT"},
		{"straße", "STRASSE"},
		{"résumé", "RÉSUMÉ"},
		{"fit.py", "fit.sh"},
		{"fit", "fit.py"},
		{"Fit.py", "fit"},
	}
	for _, tt := range tests {
		t.Run(tt.first+" "+tt.second, func(t *testing.T) {
			s := newWorld(t).open()
			for i, name := range []string{tt.first, tt.second} {
				var err error
				if strings.Contains(name, ".") {
					err = open(s, name, os.O_CREATE|os.O_WRONLY)
				} else {
					err = s.Mkdir(name, 0o755)
				}
				if i == 0 && err != nil || i == 1 && !errors.Is(err, syscall.EEXIST) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	t.Run("known at the owner", func(t *testing.T) {
		w := newWorld(t)
		w.set("Report", jobs.Done, "")
		s := w.open()
		for _, name := range []string{"Report", "report"} {
			if err := s.Mkdir(name, 0o755); !errors.Is(err, syscall.EEXIST) {
				t.Errorf("%s: %v", name, err)
			}
		}
		mkdir(t, s, "other")
		if err := s.Rename("other", "REPORT"); !errors.Is(err, syscall.EEXIST) {
			t.Errorf("rename: %v", err)
		}
	})
	t.Run("another case of itself", func(t *testing.T) {
		s := newWorld(t).open()
		mkdir(t, s, "Report")
		if err := s.Rename("Report", "report"); err != nil {
			t.Error(err)
		}
	})
}

func TestReservedNames(t *testing.T) {
	s := newWorld(t).open()
	mkdir(t, s, "job", "job/lib", "job/outputs", "job/logs")
	write(t, s, "job/x", "")
	for _, name := range []string{"status", "state.yaml", "DECISION", "held"} {
		for what, err := range map[string]error{
			"mkdir":  s.Mkdir("job/"+name, 0o755),
			"create": open(s, "job/"+name, os.O_CREATE|os.O_WRONLY),
			"rename": s.Rename("job/x", "job/"+name),
		} {
			if !errors.Is(err, syscall.EEXIST) {
				t.Errorf("%s %s: %v", what, name, err)
			}
		}
		write(t, s, "job/lib/"+name, "") // only at the top
	}
}
