package draft

import (
	"context"
	"os"
	"time"

	"github.com/openmined/syftfs/jobs"
)

// next gives the draft that is due, or how long to wait for the next one; negative: until something changes.
func (s *Store) next() (*draft, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	var first *draft
	var at time.Time
	for _, d := range s.present {
		if !d.dirty || s.notNow(d) != nil {
			continue
		}
		if due := s.due(d); first == nil || due.Before(at) {
			first, at = d, due
		}
	}
	switch {
	case first == nil:
		return nil, -1
	case at.After(now):
		return nil, at.Sub(now)
	}
	return first, 0
}

// due is when d is sealed if nothing more happens; s.mu is held.
func (s *Store) due(d *draft) time.Time {
	at := d.last.Add(s.cfg.BareSettle)
	switch {
	case d.atOnce:
		at = d.last
	case isComplete(d):
		at = d.last.Add(s.cfg.Settle)
	}
	if d.retry.After(at) {
		at = d.retry
	}
	return at
}

// isComplete reports whether the folder was meant as a complete job folder.
func isComplete(d *draft) bool {
	if d.rec.Script {
		return false
	}
	for _, name := range []string{jobs.ConfigFile, jobs.RunFile} {
		if _, err := os.Lstat(d.host(name)); err == nil {
			return true
		}
	}
	return false
}

// watch seals what is due until ctx ends.
func (s *Store) watch(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		d, wait := s.next()
		if d != nil {
			// What is wrong is told in the draft's status; the log has it for whoever runs the program.
			if err := s.seal(ctx, d); err != nil && ctx.Err() == nil {
				s.cfg.Log.Info("draft not sealed", "op", "seal", "user", s.cfg.Submitter, "err", err)
			}
			continue
		}
		var after <-chan time.Time
		if wait >= 0 {
			timer.Reset(wait)
			after = timer.C
		}
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-after:
		}
	}
}
