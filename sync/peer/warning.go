package peer

import (
	"errors"
	"fmt"
	"slices"

	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

const (
	maxWarnings = 64
	maxLogged   = 1024 // different warnings that go to the log in one process
)

// Warning is something on Drive that is not used, and why.
type Warning struct {
	Object remote.ID
	Name   string
	Owner  string
	Why    string
}

// Warnings lists what was set aside since the last sweep began, the oldest first.
func (b *Book) Warnings() []Warning {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.Clone(b.warnings)
	if b.dropped > 0 {
		all = append(all, Warning{Why: fmt.Sprintf("%d more requests are not kept; accept, reject or block some of the %d that wait", b.dropped, b.cfg.MaxPending)})
	}
	return all
}

func (b *Book) warn(o remote.Object, why string) {
	b.mu.Lock()
	w := Warning{Object: o.ID, Name: o.Name, Owner: o.Owner, Why: why}
	if len(b.warnings) < maxWarnings && !slices.Contains(b.warnings, w) {
		b.warnings = append(b.warnings, w)
	}
	logged := b.logged[w] || len(b.logged) >= maxLogged
	if !logged {
		b.logged[w] = true
	}
	b.mu.Unlock()
	if !logged {
		b.cfg.Log.Warn("an object on Drive is not used", "op", "peers", "name", o.Name, "owner", o.Owner, "why", why)
	}
}

// passing gives what the caller should try again soon: Drive that does not answer, and what fails on this machine. Anything else that goes wrong
// on Drive is told, so that nobody who shares something odd keeps the others waiting.
func (b *Book) passing(err error) error {
	for e := err; e != nil; e = errors.Unwrap(e) {
		switch x := e.(type) {
		case *remote.Error:
			if remote.Temporary(x) {
				return err
			}
			b.warn(remote.Object{}, err.Error())
			return nil
		case *wire.Error:
			b.warn(remote.Object{}, err.Error())
			return nil
		case *givenUp:
			return nil // told already
		case interface{ Unwrap() []error }:
			var errs []error
			for _, each := range x.Unwrap() {
				errs = append(errs, b.passing(each))
			}
			return errors.Join(errs...)
		}
	}
	return err
}
