package draft

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"path"
	"strings"
	"syscall"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/jobs"
)

// Error is a refusal with the sentence that tells a person what to do next; Err decides the errno.
type Error struct {
	Reason string
	Err    error
}

func (e *Error) Error() string { return e.Reason }

// Unwrap gives the error that decides the errno.
func (e *Error) Unwrap() error { return e.Err }

func refuse(errno error, format string, args ...any) error {
	return &Error{Reason: fmt.Sprintf(format, args...), Err: errno}
}

func notExist(op, rel string) error { return &iofs.PathError{Op: op, Path: rel, Err: iofs.ErrNotExist} }

// failed names what was done to which name of jobs/; a refusal is a whole sentence already.
func failed(op, rel string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	var p *iofs.PathError
	if errors.As(err, &p) {
		err = p.Err // the path on disk is nobody's business
	}
	return &iofs.PathError{Op: op, Path: rel, Err: err}
}

// reserved stand in a job's folder and cannot be made by hand.
var reserved = map[string]bool{"status": true, "state.yaml": true, "DECISION": true, "held": true}

// logsName and jobs.OutputsDir are the folders of the owner's answer: what was copied along under these names is not submitted.
const logsName = "logs"

// jobOf is the name under which an entry of jobs/ is submitted: a folder's own, a script's without its extension, and ""
// for what is never submitted as it stands.
func jobOf(name string, script bool) string {
	if strings.HasPrefix(name, ".") {
		return ""
	}
	if !script {
		return name
	}
	switch ext := path.Ext(name); ext {
	case ".py", ".sh":
		return strings.TrimSuffix(name, ext)
	}
	return ""
}

// split cuts a path below jobs/ into the entry and what lies below it.
func split(rel string) (name, sub string) {
	name, sub, _ = strings.Cut(rel, "/")
	return name, sub
}

// checkEntry refuses a name that jobs/ cannot hold.
func (s *Store) checkEntry(name string, script bool) error {
	plain := strings.TrimLeft(name, ".")
	if err := jobs.CheckName(plain); err != nil {
		return refuse(syscall.EINVAL, "%v; choose another name", err)
	}
	if job := jobOf(name, script); job != "" {
		if err := jobs.CheckName(job); err != nil {
			return refuse(syscall.EINVAL, "%v; choose another name", err)
		}
	}
	if name == string(s.cfg.Submitter) {
		return refuse(syscall.EEXIST, "%q is your own folder of jobs; choose another name", name)
	}
	return nil
}

// checkSub refuses names below an entry.
func checkSub(sub string) error {
	if reserved[sub] {
		return refuse(syscall.EEXIST, "%s is written by syftfs and cannot be made by hand", sub)
	}
	for part := range strings.SplitSeq(sub, "/") {
		if err := datasite.CheckName(part); err != nil {
			return refuse(syscall.EINVAL, "%v; a name must be UTF-8 and at most 255 bytes", err)
		}
	}
	return nil
}

// duplicate refuses a job name that is taken; known is what the owner has. s.mu is held. The entry except is not looked at.
func (s *Store) duplicate(job string, known []string, except *draft) error {
	if job == "" {
		return nil
	}
	key := jobs.Fold(job)
	taken := func(name string) error {
		if name == job {
			return refuse(syscall.EEXIST, "a job named %q is there already; choose another name", job)
		}
		return refuse(syscall.EEXIST, "%q is too much like the job %q that is there already; choose another name", job, name)
	}
	for _, d := range s.present {
		if d != except && d.job() != "" && jobs.Fold(d.job()) == key {
			return taken(d.job())
		}
	}
	for name, d := range s.gone {
		if jobs.Fold(name) != key {
			continue
		}
		if name != job {
			return taken(name)
		}
		if d.decided {
			return refuse(syscall.EEXIST, "a job named %q was submitted and decided; choose another name", job)
		}
		return nil // submitted from here and deleted: this is its next revision
	}
	for _, name := range known {
		if jobs.Fold(name) == key && (except == nil || except.job() != name) {
			return taken(name)
		}
	}
	return nil
}
