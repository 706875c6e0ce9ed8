package jobs

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// Config is config.yaml, written by the submitter.
type Config struct {
	Name               string
	Type               string // python or bash
	SubmittedAt        time.Time
	Entrypoint         string
	Dependencies       []string
	Files              []string
	IsFolderSubmission bool
	JobType            string // local or enclave
	Datasets           map[string][]string
	Headers            map[string]any

	// What an old file claims about itself ("" as a rule); never written. Check compares it with the path.
	SubmittedBy   string
	DatasiteEmail string
}

// The names of a submission.
const (
	ConfigFile = "config.yaml"
	StateFile  = "state.yaml"
	RunFile    = "run.sh"
	CodeDir    = "code"
	OutputsDir = "outputs"
	StdoutFile = "stdout.txt"
	StderrFile = "stderr.txt"
	CodeFile   = "returncode.txt"
)

// ErrImpostor is returned for a submission that claims another submitter or datasite than its place.
var ErrImpostor = errors.New("impostor")

// ParseConfig reads config.yaml: 64 KiB at most, no aliases, no duplicate keys, no tags beyond the core ones. Unknown keys are
// ignored. An error is a *FormatError.
func ParseConfig(src []byte) (Config, error) {
	y, err := parseYAML(ConfigFile, src)
	if err != nil {
		return Config{}, err
	}
	c := Config{
		Name:               y.text("name", true),
		Type:               y.word("type", false, "python", "bash"),
		SubmittedAt:        y.time("submitted_at", true),
		Entrypoint:         y.text("entrypoint", false),
		Dependencies:       y.list("dependencies"),
		Files:              y.list("files"),
		IsFolderSubmission: y.flag("is_folder_submission"),
		JobType:            y.word("job_type", false, "local", "enclave"),
		Datasets:           y.lists("datasets"),
		Headers:            y.any("headers"),
		SubmittedBy:        y.text("submitted_by", false),
		DatasiteEmail:      y.text("datasite_email", false),
	}
	y.text("code_path", false)
	for _, f := range c.Files {
		// What never travels cannot harm and cannot be waited for: expected leaves it out.
		if err := CheckPath(f); err != nil && !datasite.Excluded(f) {
			y.fail(y.keys["files"], "files", err.Error())
		}
	}
	if y.err != nil {
		return Config{}, y.err
	}
	return c, nil
}

// Marshal writes config.yaml as the peers' client writes it: eleven keys in order, code_path always null. It fails only for
// headers or names of datasets that have no form in the file.
func (c Config) Marshal() ([]byte, error) {
	var datasets any
	if c.Datasets != nil {
		datasets = c.Datasets
	}
	headers := c.Headers
	if headers == nil {
		headers = map[string]any{}
	}
	b, err := yamlMap(map[string]any{
		"code_path":            nil,
		"datasets":             datasets,
		"dependencies":         c.Dependencies,
		"entrypoint":           textOrNull(c.Entrypoint),
		"files":                c.Files,
		"headers":              headers,
		"is_folder_submission": c.IsFolderSubmission,
		"job_type":             wordOr(c.JobType, "local"),
		"name":                 c.Name,
		"submitted_at":         yamlTime(c.SubmittedAt),
		"type":                 wordOr(c.Type, "python"),
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ConfigFile, err)
	}
	return b, nil
}

func textOrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func timeOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return yamlTime(t)
}

func wordOr(s, word string) string {
	if s == "" {
		return word
	}
	return s
}

// Check compares what the file says with where it lies: the name must be the folder's, byte for byte, and a submitter or datasite
// named in it must be those of the path, else ErrImpostor.
func (c Config) Check(id ID) error {
	if c.Name != id.Name {
		return fmt.Errorf("name: %s says %q, but the folder is called %q", ConfigFile, c.Name, id.Name)
	}
	for _, claim := range []struct {
		key, got string
		want     perm.User
	}{{"submitted_by", c.SubmittedBy, id.Submitter}, {"datasite_email", c.DatasiteEmail, id.Owner}} {
		if claim.got != "" && !strings.EqualFold(claim.got, string(claim.want)) {
			return fmt.Errorf("%w: %s says %s %q, but the folder belongs to %s", ErrImpostor, ConfigFile, claim.key, claim.got, claim.want)
		}
	}
	return nil
}

// expected are the files below code/ that must be there before the job is complete: a path with a part that never travels, or that begins with
// a dot, is not waited for.
func (c Config) expected() []string {
	var out []string
	for _, f := range c.Files {
		if !datasite.Excluded(f) && !strings.HasPrefix(f, ".") && !strings.Contains(f, "/.") {
			out = append(out, f)
		}
	}
	return out
}
