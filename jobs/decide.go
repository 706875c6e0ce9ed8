package jobs

import (
	"context"
	"fmt"
	iofs "io/fs"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
)

// Approve records the owner's approval of exactly the bytes with that digest, and queues the run. The inbox is looked at once more before: what
// was changed there is a new revision, which the digest no longer fits. Errors: fs.ErrNotExist, fs.ErrPermission, ErrDigest, ErrConflict, ErrDataset.
func (e *Engine) Approve(ctx context.Context, id ID, by datasite.Identity, a Approval) error {
	if err := e.mayDecide(id, by); err != nil {
		return err
	}
	prefix, err := digestPrefix(a.Digest)
	if err != nil {
		return fmt.Errorf("approve %s: %w", id, err)
	}
	release, err := e.take(ctx)
	if err != nil {
		return fmt.Errorf("approve %s: %w", id, err)
	}
	defer release()
	if err := e.lookNow(ctx, id); err != nil {
		return fmt.Errorf("approve %s: %w", id, err)
	}
	old, err := e.find(id)
	switch {
	case err != nil:
		return fmt.Errorf("approve: %w", err)
	case old.rec.Status != Pending:
		return &StatusError{ID: id, Status: old.rec.Status, Want: []Status{Pending}}
	case !strings.HasPrefix(string(old.rec.Digest), prefix):
		return &ConflictError{ID: id, Given: prefix, Digest: old.rec.Digest}
	}
	j := *old
	if err := e.datasetsOf(ctx, &j); err != nil {
		return fmt.Errorf("approve %s: %w", id, err)
	}
	granted, err := grant(&j, a.Datasets)
	if err != nil {
		return fmt.Errorf("approve %s: %w", id, err)
	}
	j.rec.Status, j.rec.Reason = Approved, a.Reason
	j.rec.Approved = &approval{
		By: by.Subject, Account: by.Account, At: e.now(), Method: wordOr(a.Method, "manual"), Digest: old.rec.Digest, Datasets: granted,
	}
	if err := e.save("approve", &j); err != nil {
		return fmt.Errorf("approve: %w", err)
	}
	e.tell(ctx, id)
	return nil
}

// Reject records the owner's refusal of a job that is received or pending. Errors: fs.ErrNotExist, fs.ErrPermission, ErrConflict.
func (e *Engine) Reject(ctx context.Context, id ID, by datasite.Identity, reason string) error {
	if err := e.mayDecide(id, by); err != nil {
		return err
	}
	release, err := e.take(ctx)
	if err != nil {
		return fmt.Errorf("reject %s: %w", id, err)
	}
	defer release()
	return e.reject(ctx, id, by, reason, "reject", Received, Pending)
}

// reject is for a caller who has the turn.
func (e *Engine) reject(ctx context.Context, id ID, by datasite.Identity, reason, step string, from ...Status) error {
	old, err := e.find(id)
	if err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	fits := false
	for _, s := range from {
		fits = fits || old.rec.Status == s
	}
	if !fits {
		return &StatusError{ID: id, Status: old.rec.Status, Want: from}
	}
	j := *old
	j.hindrance, j.missing = "", nil
	j.rec.Status, j.rec.Reason = Rejected, reason
	j.rec.Rejected = &rejection{By: by.Subject, Account: by.Account, At: e.now()}
	if err := e.save(step, &j); err != nil {
		return err
	}
	e.tell(ctx, id)
	return nil
}

// Cancel takes an approved job back (rejected), or ends a running one (failed, reason "cancelled"; recorded when it has ended).
// Errors: fs.ErrNotExist, fs.ErrPermission, ErrConflict.
func (e *Engine) Cancel(ctx context.Context, id ID, by datasite.Identity) error {
	if err := e.mayDecide(id, by); err != nil {
		return err
	}
	release, err := e.take(ctx)
	if err != nil {
		return fmt.Errorf("cancel %s: %w", id, err)
	}
	defer release()
	e.mu.Lock()
	j, end := e.all[id], e.active[id]
	e.mu.Unlock()
	if j != nil && j.rec.Status == Running && end != nil {
		end(errCancelled)
		return nil
	}
	return e.reject(ctx, id, by, "cancelled", "cancel", Approved)
}

// mayDecide: whoever acts as the owner of the datasite, and nobody else.
func (e *Engine) mayDecide(id ID, by datasite.Identity) error {
	if by.Subject != e.cfg.Owner || id.Owner != e.cfg.Owner {
		return fmt.Errorf("job %s: only %s decides about it: %w", id, e.cfg.Owner, iofs.ErrPermission)
	}
	return nil
}

// digestPrefix reads what a person gave: 12 to 64 hexadecimal digits, with or without "sha256:".
func digestPrefix(s string) (string, error) {
	const algorithm, fewest, most = "sha256:", 12, 64
	digits := strings.TrimPrefix(strings.ToLower(strings.TrimSpace(s)), algorithm)
	if len(digits) < fewest || len(digits) > most || strings.Trim(digits, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%q: %w", s, ErrDigest)
	}
	return algorithm + digits, nil
}

// tell writes state.yaml after a decision that is already durable: a failure is made good by the loop.
func (e *Engine) tell(ctx context.Context, id ID) {
	if err := e.publish(ctx, id); err != nil {
		e.log.Warn("state.yaml not written; it is tried again", "job", id.String(), "err", err)
		e.mark(id)
	}
	e.poke()
}
