package jobs

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/openmined/syftfs/fs/datasite"
)

func TestDatasets(t *testing.T) {
	offered := []string{"open", "heart.v2", "other"}
	for _, c := range []struct {
		name     string
		code     string
		config   string
		choice   []string
		selected []string
		granted  []string
	}{
		{"nothing named", "print(1)\n", "", nil, nil, nil},
		{"a resolver call", "p = sc.resolve_dataset_file_path('open')\n", "", nil, []string{"open"}, []string{"open"}},
		{"another resolver", "resolve_dataset_files_path(\n  \"heart.v2\", client=x)\n", "", nil, []string{"heart.v2"}, []string{"heart.v2"}},
		{"a keyword", "resolve_dataset_files_path(dataset_name=\"open\")\n", "", nil, []string{"open"}, []string{"open"}},
		{"code of a dataset", "load_dataset_code('heart.v2.lib.stats')\n", "", nil, nil, nil},
		{"code of a plain dataset", "load_dataset_code('open.stats')\n", "", nil, []string{"open"}, []string{"open"}},
		{"a path literal", "open('/syftbox/o/private/syft_datasets/open/data.csv')\n", "", nil, []string{"open"}, []string{"open"}},
		{"a url", "sc.resolve_path('syft://o/private/syft_datasets/other')\n", "", nil, []string{"other"}, []string{"other"}},
		{"not offered", "resolve_dataset_file_path('secret')\n", "", nil, nil, nil},
		{"a longer name", "resolve_dataset_file_path('opened')\nx='syft_datasets/opener/'\n", "", nil, nil, nil},
		{"config asks", "resolve_dataset_file_path('open')\n", "datasets:\n  owen@centre.example: [other, secret]\n", nil, []string{"other"}, []string{"other"}},
		{"config asks somebody else", "resolve_dataset_file_path('open')\n", "datasets:\n  nina@statistics.example: [other]\n", nil, []string{"open"}, []string{"open"}},
		{"none chosen", "resolve_dataset_file_path('open')\n", "", []string{}, []string{"open"}, nil},
		{"others chosen", "resolve_dataset_file_path('open')\n", "", []string{"other", "heart.v2", "other"}, []string{"open"}, []string{"heart.v2", "other"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *site) {
				s.data.offered[rachel] = offered
				s.start()
				id := job1("a")
				files := submission("a", "main.py", c.code)
				files[ConfigFile] += c.config
				s.put(id, files)
				j := s.want(id, Pending)
				if !slices.Equal(j.Preselected, c.selected) || len(j.Offered) != len(offered) {
					t.Errorf("preselected %q of %q, want %q", j.Preselected, j.Offered, c.selected)
				}
				if err := s.engine.Approve(t.Context(), id, byOwner, Approval{Digest: string(j.Digest), Datasets: c.choice}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				j = s.want(id, Done)
				var bound []string
				for _, b := range s.runner.specs[0].Datasets {
					bound = append(bound, b.Name)
				}
				if !slices.Equal(j.Granted, c.granted) || !slices.Equal(bound, c.granted) {
					t.Errorf("granted %q, bound %q, want %q", j.Granted, bound, c.granted)
				}
			})
		})
	}
}

func TestDatasetLostBeforeTheRun(t *testing.T) {
	for name, lose := range map[string]func(*site){
		"not readable any more": func(s *site) { s.data.offered[rachel] = nil },
		"gone":                  func(s *site) { s.data.missing = true },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *site) {
				s.data.offered[rachel] = []string{"open"}
				s.runner.ready = errFault
				e := s.start()
				id := job1("a")
				s.put(id, submission("a", "main.py", "resolve_dataset_file_path('open')"))
				s.approve(id)
				synctest.Wait()
				s.data.mu.Lock()
				lose(s)
				s.data.mu.Unlock()
				s.runner.mu.Lock()
				s.runner.ready = nil
				s.runner.mu.Unlock()
				e.Kick()
				synctest.Wait()
				s.want(id, Failed)
				if got := s.read(id.Review().Join(StderrFile)); !strings.HasSuffix(got, "--- JOB STOPPED: dataset_unavailable ---\n") || !strings.Contains(got, `"open"`) {
					t.Errorf("stderr %q", got)
				}
				if len(s.runner.runs) != 0 {
					t.Errorf("ran %v", s.runner.runs)
				}
			})
		})
	}
}

func TestOffersFollowTheRules(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.start()
		id := job1("a")
		s.put(id, submission("a", "main.py", "resolve_dataset_file_path('open')"))
		s.data.mu.Lock()
		s.data.offered[rachel] = []string{"open"}
		s.data.mu.Unlock()
		s.write(datasite.Path{Owner: owen, Rel: "public/syft_datasets/open/syft.pub.yaml"}, "rules: []\n")
		synctest.Wait()
		if j := s.get(id); !slices.Equal(j.Preselected, []string{"open"}) {
			t.Errorf("preselected %q of %q", j.Preselected, j.Offered)
		}
	})
}
