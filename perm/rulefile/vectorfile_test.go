package rulefile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// vector is one case of testdata; README.md there says what the fields mean.
type vector struct {
	ID       string
	Format   string
	Source   string
	Owner    string
	Note     string
	Verified bool
	By       []string `yaml:"verified_by"`
	Differs  any
	Now      time.Time

	Files    map[string]string
	Checks   []check
	Steps    []step
	Document *string
	Error    *bool
	Patterns []string
	Order    []string `yaml:"expect_order"`
	Pattern  *string
	Score    *int
}

type step struct {
	Write  map[string]string
	Remove []string
	Checks []check
}

type check struct {
	User, Path, Access string
	Allow              *bool
	File               *struct {
		Size         int64
		Dir, Symlink bool
	}
	Reasons []string `yaml:"reason_contains"`
}

// vectorFiles gives the case files: every file of testdata that is not a text about it.
func vectorFiles(t *testing.T) []string {
	t.Helper()
	names, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range names {
		switch ext := path.Ext(e.Name()); {
		case e.IsDir() && slices.Contains([]string{"broken", "fuzz", "rapid"}, e.Name()): // of other tests
		case ext == ".md" && !e.IsDir():
		case (ext == ".yaml" || ext == ".yml" || ext == ".json") && !e.IsDir():
			files = append(files, filepath.Join("testdata", e.Name()))
		default:
			t.Errorf("testdata/%s: nothing reads it", e.Name())
		}
	}
	if len(files) == 0 {
		t.Fatal("no test data")
	}
	return files
}

// readVectors refuses whatever the test would not look at.
func readVectors(src []byte) ([]vector, error) {
	var all struct{ Cases []vector }
	dec := yaml.NewDecoder(bytes.NewReader(src))
	dec.KnownFields(true)
	if err := dec.Decode(&all); err != nil {
		return nil, err
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document")
	}
	if len(all.Cases) == 0 {
		return nil, errors.New("no cases")
	}
	seen := map[string]bool{}
	for i := range all.Cases {
		v := &all.Cases[i]
		if v.ID == "" || seen[v.ID] {
			return nil, fmt.Errorf("case %d: id %q is empty or stands twice", i, v.ID)
		}
		seen[v.ID] = true
		if err := v.valid(); err != nil {
			return nil, fmt.Errorf("case %s: %w", v.ID, err)
		}
	}
	return all.Cases, nil
}

func (v *vector) valid() error {
	if v.Format != "syftpub" && v.Format != "syftperm" && v.Format != "mixed" {
		return fmt.Errorf("unknown format %q", v.Format)
	}
	bodies := 0
	for _, body := range []struct{ one, whole bool }{
		{v.Files != nil || v.Checks != nil, v.Files != nil && len(v.Checks) > 0},
		{v.Steps != nil, len(v.Steps) > 0},
		{v.Document != nil || v.Error != nil, v.Document != nil && v.Error != nil && v.Format != "mixed"},
		{v.Patterns != nil || v.Order != nil, len(v.Patterns) > 0 && len(v.Order) == len(v.Patterns)},
		{v.Pattern != nil || v.Score != nil, v.Pattern != nil && v.Score != nil},
	} {
		if body.one {
			bodies++
			if !body.whole {
				return errors.New("half a body")
			}
		}
	}
	if bodies != 1 {
		return fmt.Errorf("%d bodies, want one", bodies)
	}
	checked := len(v.Steps) == 0
	for i, s := range append([]step{{Write: v.Files, Checks: v.Checks}}, v.Steps...) {
		for j, c := range s.Checks {
			if c.Path == "" || c.Access == "" || c.Allow == nil {
				return fmt.Errorf("step %d, check %d: path, access and allow are needed", i, j)
			}
			checked = true
		}
	}
	if !checked {
		return errors.New("it checks nothing")
	}
	return nil
}

func (v *vector) checks() int {
	n := len(v.Checks)
	for _, s := range v.Steps {
		n += len(s.Checks)
	}
	return n
}

// TestVectorsOfUnknownShape holds that a case which the test cannot run is not passed over.
func TestVectorsOfUnknownShape(t *testing.T) {
	good := "cases:\n- id: a\n  format: syftpub\n  files: {a@x.org/syft.pub.yaml: ''}\n  checks: [{user: b@x.org, path: a@x.org/f, access: read, allow: false}]\n"
	if _, err := readVectors([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, src := range map[string]string{
		"empty":          "",
		"no cases":       "cases: []\n",
		"another top":    "tests: []\n",
		"a list":         "- id: a\n",
		"unknown field":  good + "  also: true\n",
		"unknown body":   "cases:\n- {id: a, format: syftpub}\n",
		"two bodies":     good + "  document: ''\n  error: false\n",
		"half a body":    "cases:\n- {id: a, format: syftpub, document: ''}\n",
		"unknown format": strings.Replace(good, "syftpub", "syftperms", 1),
		"no id":          strings.Replace(good, "id: a", "note: a", 1),
		"id twice":       good + strings.TrimPrefix(good, "cases:\n"),
		"no verdict":     strings.Replace(good, ", allow: false", "", 1),
		"misspelt check": strings.Replace(good, "allow: false", "allow: false, reasons_contain: [x]", 1),
		"no checks":      "cases:\n- {id: a, format: syftpub, steps: [{write: {a@x.org/syft.pub.yaml: ''}}]}\n",
		"two documents":  good + "---\n" + good,
	} {
		if _, err := readVectors([]byte(src)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
