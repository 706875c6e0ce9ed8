package draft

import (
	"context"
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
	id      jobs.ID
	snap    *snapshot
	install string
	at      time.Time // submitted_at
	receipt receipt   // filled: digest, size, files, made, findings
	files   []jobs.File
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
		return []string{in(jobs.RunFile), in(path.Join(jobs.CodeDir, scriptName))}
	}
	return []string{in(path.Join(jobs.CodeDir, m.path))}
}

func (f *form) bash() bool { return f.snap.script && path.Ext(f.snap.files[0].path) == ".sh" }

// make finishes the folder, or says what a person must do.
func (f *form) make(ctx context.Context) error {
	var err error
	if !f.snap.has(jobs.CodeDir) || !f.snap.complete {
		if err = os.MkdirAll(filepath.Join(f.dir, jobs.CodeDir), 0o755); err != nil {
			return err
		}
	}
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
	if err := os.Chmod(filepath.Join(f.dir, jobs.RunFile), 0o755); err != nil {
		return err
	}
	f.receipt.Findings = append(f.receipt.Findings, scan(f.dir, f.snap)...)
	return f.digest(ctx)
}

// check holds a complete job folder against its own config.yaml.
func (f *form) check() error {
	n := f.snap
	var missing []string
	folder := slices.Contains(n.folders, jobs.CodeDir)
	if !folder && !n.has(jobs.CodeDir) {
		missing = append(missing, jobs.CodeDir+"/")
	}
	for _, name := range []string{jobs.RunFile, jobs.ConfigFile} {
		if !n.has(name) && !slices.Contains(n.folders, name) {
			missing = append(missing, name)
		}
	}
	for _, name := range []string{jobs.RunFile, jobs.ConfigFile} {
		if slices.Contains(n.folders, name) {
			return refuse(syscall.EISDIR, "%s must be a file, but it is a folder", name)
		}
	}
	if n.has(jobs.CodeDir) {
		return refuse(syscall.ENOTDIR, "code must be a folder, but it is a file")
	}
	if n.has(jobs.ConfigFile) {
		body, err := os.ReadFile(filepath.Join(f.dir, jobs.ConfigFile))
		if err != nil {
			return err
		}
		cfg, err := jobs.ParseConfig(body)
		if err == nil {
			err = cfg.Check(f.id)
		}
		if err != nil {
			return refuse(syscall.EINVAL, "config.yaml cannot be used: %v", err)
		}
		for _, name := range cfg.Files {
			// The owner does not wait either for what never travels.
			if p := path.Join(jobs.CodeDir, name); !n.has(p) && !never(name) {
				missing = append(missing, visible(p))
			}
		}
	}
	if len(missing) > 0 {
		return refuse(syscall.EINVAL, "not complete, missing: %s; it is submitted when they are there", some(missing))
	}
	if len(n.foreign) > 0 {
		return refuse(syscall.EINVAL, "beside code/, run.sh and config.yaml a job folder holds nothing: move %s into code/", some(n.foreign))
	}
	return nil
}

// never reports names that stay behind whatever config.yaml says.
func never(rel string) bool {
	for part := range strings.SplitSeq(rel, "/") {
		if strings.HasPrefix(part, ".") || jobs.IsRuleName(part) {
			return true
		}
	}
	return datasite.Excluded(rel) || rel == jobs.OutputsDir || strings.HasPrefix(rel, jobs.OutputsDir+"/")
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
	entry, err := jobs.Entrypoint(os.DirFS(filepath.Join(f.dir, jobs.CodeDir)), "")
	if err != nil {
		return refuse(syscall.EINVAL, "%v; or copy a complete job folder (code/, run.sh, config.yaml)", err)
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
	run := jobs.RunScript(entry, deps, !f.snap.script && slices.Contains(files, "pyproject.toml"))
	return f.write(jobs.Config{
		Type:               "python",
		Entrypoint:         entry,
		Dependencies:       deps,
		Files:              files,
		IsFolderSubmission: !f.snap.script,
	}, []byte(run))
}

// write adds config.yaml, and run.sh unless it is there already.
func (f *form) write(cfg jobs.Config, run []byte) error {
	cfg.Name, cfg.SubmittedAt, cfg.JobType = f.id.Name, f.at, "local"
	body, err := cfg.Marshal()
	if err != nil {
		return refuse(syscall.EINVAL, "config.yaml cannot be written: %v", err)
	}
	f.receipt.Made = map[string][]byte{jobs.ConfigFile: body}
	if run != nil {
		f.receipt.Made[jobs.RunFile] = run
		if err := os.WriteFile(filepath.Join(f.dir, jobs.RunFile), run, 0o600); err != nil {
			return err
		}
	} else if f.receipt.Made[jobs.RunFile], err = os.ReadFile(filepath.Join(f.dir, jobs.RunFile)); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(f.dir, jobs.ConfigFile), body, 0o600)
}

// requirements reads the dependencies of a bare folder; options of pip are not taken, which the notes say.
func (f *form) requirements() (deps, notes []string, err error) {
	body, err := os.ReadFile(filepath.Join(f.dir, jobs.CodeDir, "requirements.txt"))
	if err != nil {
		return nil, nil, err
	}
	if len(body) > jobs.MaxConfigBytes {
		return nil, nil, refuse(syscall.EFBIG, "requirements.txt is larger than %d KiB", jobs.MaxConfigBytes>>10)
	}
	for raw := range strings.Lines(string(body)) {
		text, _, _ := strings.Cut(" "+strings.TrimSpace(raw), " #")
		text = strings.TrimSpace(text)
		switch {
		case text == "":
		case strings.HasPrefix(text, "-"), strings.HasSuffix(text, "\\"):
			notes = append(notes, fmt.Sprintf("requirements.txt: %s is an option of pip and was not taken", visible(text)))
		default:
			text = strings.ReplaceAll(text, `"`, "'") // a marker's quotes; run.sh has the other kind around it
			if err := jobs.CheckDependency(text); err != nil {
				return nil, nil, refuse(syscall.EINVAL, "requirements.txt: %v", err)
			}
			deps = append(deps, text)
		}
	}
	return deps, notes, nil
}

// dropped names what the owner has and the form has not.
func (f *form) dropped(has []jobs.File) []string {
	kept := map[string]bool{}
	for _, m := range f.files {
		kept[m.Path] = true
	}
	var gone []string
	for _, m := range has {
		if !kept[m.Path] {
			gone = append(gone, visible(m.Path))
		}
	}
	return gone
}

// digest fixes what was made, by the same reading that the owner's intake does.
func (f *form) digest(ctx context.Context) error {
	files, err := jobs.ReadManifest(ctx, os.DirFS(f.dir))
	if err != nil {
		return refuse(syscall.EINVAL, "%v", err)
	}
	f.files = files
	f.receipt.Digest, f.receipt.Files = jobs.DigestOf(files), len(files)
	for _, m := range files {
		f.receipt.Size += m.Size
	}
	return nil
}
