package jobs

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// ErrConflict is wrapped when a decision no longer fits: the submission has another digest than the one given (*ConflictError), or the job
// does not stand where the decision needs it (*StatusError). Nothing was changed. It wraps EINVAL.
var ErrConflict = fmt.Errorf("the decision does not fit the job as it stands: %w", syscall.EINVAL)

// ErrDigest is wrapped when an approval's digest is not 12 or more hexadecimal digits. It wraps EINVAL.
var ErrDigest = fmt.Errorf("an approval needs 12 or more hexadecimal digits of the digest that was shown: %w", syscall.EINVAL)

// ErrDataset is wrapped when a dataset cannot be granted. It wraps EINVAL.
var ErrDataset = fmt.Errorf("dataset cannot be granted: %w", syscall.EINVAL)

// ErrAmbiguous is wrapped by Find when several jobs have the name.
var ErrAmbiguous = errors.New("name is ambiguous")

// ConflictError is an approval of other bytes than those that lie in the intake.
type ConflictError struct {
	ID     ID
	Given  string
	Digest Digest // what lies in the intake now
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("job %s is not %s any more: it is now %s; look at it again before you approve it", e.ID, e.Given, e.Digest)
}

// Unwrap gives ErrConflict.
func (e *ConflictError) Unwrap() error { return ErrConflict }

// StatusError is a decision about a job that does not stand where the decision needs it.
type StatusError struct {
	ID     ID
	Status Status
	Want   []Status
}

func (e *StatusError) Error() string {
	want := make([]string, len(e.Want))
	for i, s := range e.Want {
		want[i] = string(s)
	}
	return fmt.Sprintf("job %s is %s, not %s: nothing was changed", e.ID, e.Status, strings.Join(want, " or "))
}

// Unwrap gives ErrConflict.
func (e *StatusError) Unwrap() error { return ErrConflict }
