package draft

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/jobs"
)

// form makes the stored form of a job, code/, run.sh and config.yaml, in a folder of ours.
type form struct {
	dir     string // host folder, empty at first
	job     string
	snap    *snapshot
	install string
	at      time.Time // submitted_at
	receipt receipt   // filled: digest, size, files, made, findings
}

const scriptName = "script.sh" // what a bash job's copy of run.sh is called

// place says where a file of the draft goes.
func (f *form) place(m member) []string {
	in := func(rel string) string { return filepath.Join(f.dir, filepath.FromSlash(rel)) }
	switch {
	case f.snap.complete && slices.Contains(f.snap.foreign, m.path):
		return nil
	case f.snap.complete:
		return []string{in(m.path)}
	case f.bash():
		return []string{in(runName), in(path.Join(codeName, scriptName))}
	}
	return []string{in(path.Join(codeName, m.path))}
}

func (f *form) bash() bool { return f.snap.script && path.Ext(f.snap.files[0].path) == ".sh" }

// make finishes the folder, or says what a person must do.
func (f *form) make() error {
	if err := os.MkdirAll(filepath.Join(f.dir, codeName), 0o755); err != nil {
		return err
	}
	var err error
	switch {
	case f.snap.complete:
		err = f.check()
	case f.bash():
		err = f.write(jobs.Config{Type: "bash", Files: []string{scriptName}}, nil)
	default:
		err = f.python()
	}
	if err != nil {
		return err
	}
	if err := os.Chmod(filepath.Join(f.dir, runName), 0o755); err != nil {
		return err
	}
	f.receipt.Findings = append(f.receipt.Findings, scan(f.dir, f.snap)...)
	return f.digest()
}

// check holds a complete job folder against its own config.yaml.
func (f *form) check() error {
	n := f.snap
	var missing []string
	folder := slices.Contains(n.folders, codeName)
	if !folder && !n.has(codeName) {
		missing = append(missing, codeName+"/")
	}
	for _, name := range []string{runName, configName} {
		if !n.has(name) && !slices.Contains(n.folders, name) {
			missing = append(missing, name)
		}
	}
	for _, name := range []string{runName, configName} {
		if slices.Contains(n.folders, name) {
			return refuse(syscall.EISDIR, "%s must be a file, but it is a folder", name)
		}
	}
	if n.has(codeName) {
		return refuse(syscall.ENOTDIR, "code must be a folder, but it is a file")
	}
	var cfg jobs.Config
	if n.has(configName) {
		body, err := os.ReadFile(filepath.Join(f.dir, configName))
		if err != nil {
			return err
		}
		if len(body) > maxConfig {
			return refuse(syscall.EFBIG, "config.yaml is larger than %d KiB", maxConfig>>10)
		}
		if cfg, err = parseConfig(body); err != nil {
			return refuse(syscall.EINVAL, "config.yaml cannot be used: %v", err)
		}
		if cfg.Name != f.job {
			return refuse(syscall.EINVAL, "config.yaml names the job %q, but the folder is %q; make them equal", cfg.Name, f.job)
		}
		for _, name := range cfg.Files {
			switch p := path.Join(codeName, name); {
			case n.has(p):
			case never(name):
				return refuse(syscall.EINVAL, "config.yaml lists %s under files, but that name is never submitted; take it out", visible(name))
			default:
				missing = append(missing, visible(p))
			}
		}
	}
	if len(missing) > 0 {
		return refuse(iofsNotWhole, "not complete, missing: %s; it is submitted when they are there", some(missing))
	}
	if len(n.foreign) > 0 {
		return refuse(syscall.EINVAL, "beside code/, run.sh and config.yaml a job folder holds nothing: move %s into code/", some(n.foreign))
	}
	return nil
}

// iofsNotWhole is the errno of an explicit submit of something incomplete.
const iofsNotWhole = syscall.EINVAL

// never reports names that stay behind whatever config.yaml says.
func never(rel string) bool {
	for part := range strings.SplitSeq(rel, "/") {
		if strings.HasPrefix(part, ".") || isRules(part) {
			return true
		}
	}
	return datasite.Excluded(rel) || rel == outputsName || strings.HasPrefix(rel, outputsName+"/")
}

// some lists the first of many names.
func some(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// python makes run.sh and config.yaml for a bare folder or a single script.
func (f *form) python() error {
	files := make([]string, 0, len(f.snap.files))
	for _, m := range f.snap.files {
		files = append(files, m.path)
	}
	slices.Sort(files)
	entry, err := entrypoint(files)
	if err != nil {
		return refuse(syscall.EINVAL, "%v", err)
	}
	deps := []string{f.install}
	if !f.snap.script && slices.Contains(files, "requirements.txt") {
		more, notes, err := f.requirements()
		if err != nil {
			return err
		}
		deps = append(deps, more...)
		f.receipt.Findings = append(f.receipt.Findings, notes...)
	}
	run, err := runScript(deps, entry, !f.snap.script && slices.Contains(files, "pyproject.toml"))
	if err != nil {
		return refuse(syscall.EINVAL, "%v", err)
	}
	return f.write(jobs.Config{
		Type:               "python",
		Entrypoint:         entry,
		Dependencies:       deps,
		Files:              files,
		IsFolderSubmission: !f.snap.script,
	}, run)
}

// write adds config.yaml, and run.sh unless it is there already.
func (f *form) write(cfg jobs.Config, run []byte) error {
	cfg.Name, cfg.SubmittedAt, cfg.JobType = f.job, f.at, "local"
	body, err := marshal(cfg)
	if err != nil {
		return refuse(syscall.EINVAL, "config.yaml cannot be written: %v", err)
	}
	f.receipt.Made = map[string][]byte{configName: body}
	if run != nil {
		f.receipt.Made[runName] = run
		if err := os.WriteFile(filepath.Join(f.dir, runName), run, 0o600); err != nil {
			return err
		}
	} else if f.receipt.Made[runName], err = os.ReadFile(filepath.Join(f.dir, runName)); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(f.dir, configName), body, 0o600)
}

// requirements reads the dependencies of a bare folder; options of pip are not taken, which the notes say.
func (f *form) requirements() (deps, notes []string, err error) {
	body, err := os.ReadFile(filepath.Join(f.dir, codeName, "requirements.txt"))
	if err != nil {
		return nil, nil, err
	}
	if len(body) > maxConfig {
		return nil, nil, refuse(syscall.EFBIG, "requirements.txt is larger than %d KiB", maxConfig>>10)
	}
	for raw := range strings.Lines(string(body)) {
		text, _, _ := strings.Cut(" "+strings.TrimSpace(raw), " #")
		text = strings.TrimSpace(text)
		switch {
		case text == "":
		case strings.HasPrefix(text, "-"), strings.HasSuffix(text, "\\"):
			notes = append(notes, fmt.Sprintf("requirements.txt: %s is an option of pip and was not taken", visible(text)))
		default:
			deps = append(deps, text)
		}
	}
	return deps, notes, nil
}

var errNoEntrypoint = errors.New("it cannot be told which script to run: name it main.py, or keep a single .py file at the top, or copy a complete job folder (code/, run.sh, config.yaml)")
