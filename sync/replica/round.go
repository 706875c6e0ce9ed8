package replica

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/sync/remote"
	"go.etcd.io/bbolt"
)

// Run exchanges until ctx ends or Close: at every change here, and as often as the feed is to be asked. While Drive is away, less and less often.
func (r *Replica) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	failures := 0
	for {
		poke := r.poke
		if failures > 0 {
			poke = nil // what is new waits as well
		}
		select {
		case <-timer.C:
		case <-poke:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.stopped.Done():
			return iofs.ErrClosed
		}
		err := r.exchange(ctx, false)
		wait := r.cfg.Poll
		if failures++; err == nil {
			failures = 0
		} else if wait = max(min(r.cfg.Poll<<min(failures-1, 16), maxBackoff), remote.RetryAfter(err)); wait <= 0 {
			wait = maxBackoff
		}
		timer.Reset(wait)
	}
}

// Sync does one whole round now, slow sweep included: everything that was changed here before the call, and everything that lies on Drive.
func (r *Replica) Sync(ctx context.Context) error { return r.exchange(ctx, true) }

// exchange is one round, for whoever has the turn.
func (r *Replica) exchange(ctx context.Context, whole bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(r.stopped, func() { cancel(iofs.ErrClosed) })()
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.give()
	if whole {
		clear(r.later)
		clear(r.resend)
	}
	err := r.round(ctx, whole)
	now := r.cfg.Now()
	r.live.change(func() {
		switch {
		case err == nil:
			r.live.offline, r.live.problem, r.live.synced = time.Time{}, "", now
		case ctx.Err() != nil: // says nothing about Drive
		default:
			r.live.problem = err.Error()
			if !remote.Temporary(err) {
				r.live.offline = time.Time{}
			} else if r.live.offline.IsZero() {
				r.live.offline = now
			}
		}
	})
	if err != nil && ctx.Err() == nil {
		r.cfg.Log.Warn("exchange failed", "op", "sync", "err", err)
	}
	return err
}

// round pulls, then pushes: so what is proposed was made from the newest version that can be known.
func (r *Replica) round(ctx context.Context, whole bool) error {
	if err := r.takeIn(ctx); err != nil {
		return fmt.Errorf("take in changes: %w", err)
	}
	if err := r.restore(ctx); err != nil {
		return err
	}
	if err := r.expand(ctx, r.cfg.Owner); err != nil {
		return err
	}
	errs := []error{r.tellCollections(ctx)}
	// What cannot be reached now ends the round; anything else holds up nothing else.
	ends := func() bool { return ctx.Err() != nil || remote.Temporary(errors.Join(errs...)) }
	if ends() {
		return errors.Join(errs...)
	}
	swept, err := r.follow(ctx)
	if err != nil {
		errs = append(errs, fmt.Errorf("ask what is new: %w", err))
	}
	if !ends() && !swept {
		due, err := r.sweepDue(whole)
		if err == nil && due {
			err = r.sweep(ctx)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("look through the folders: %w", err))
		}
	}
	if ends() {
		return errors.Join(errs...)
	}
	peers, err := r.cfg.Peers.List(ctx)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	errs = append(errs, r.greet(ctx, peers))
	if ends() {
		return errors.Join(errs...)
	}
	errs = append(errs, r.pull(ctx, peers))
	if ends() {
		return errors.Join(errs...)
	}
	errs = append(errs, r.archive(ctx))
	if ends() {
		return errors.Join(errs...)
	}
	// What was taken is told to its sender, and what came in meanwhile goes along.
	errs = append(errs, r.takeIn(ctx))
	errs = append(errs, r.push(ctx, peers))
	if !ends() {
		errs = append(errs, r.compact(ctx, peers), r.send(ctx, peers), r.removeDoomed(ctx))
	}
	return errors.Join(errs...)
}

// push plans and sends until nothing is left that can be sent now.
func (r *Replica) push(ctx context.Context, peers []Peer) error {
	for {
		var errs []error
		planned := false
		for _, plan := range []func(context.Context, []Peer) (bool, error){r.publish, r.deliver, r.propose} {
			did, err := plan(ctx, peers)
			planned = planned || did
			errs = append(errs, err)
		}
		errs = append(errs, r.send(ctx, peers))
		if err := errors.Join(errs...); err != nil || !planned {
			return err
		}
	}
}

// sweepDue reports whether the slow sweep is to be made.
func (r *Replica) sweepDue(whole bool) (due bool, err error) {
	err = r.store.view(func(tx *bbolt.Tx) error {
		last, ok, err := get[time.Time](tx, metaBucket, sweptKey)
		now := r.cfg.Now()
		due = whole || !ok || now.Sub(last) >= r.cfg.Sweep || now.Before(last)
		return err
	})
	return due, err
}

// tellCollections tells which files of datasets and which rule files changed.
func (r *Replica) tellCollections(ctx context.Context) error {
	var paths []datasite.Path
	err := r.store.view(func(tx *bbolt.Tx) error {
		return each(tx, dataBucket, "", func(key string, _ bool) error {
			p, err := datasite.Parse(key)
			paths = append(paths, p)
			return err
		})
	})
	if err != nil || len(paths) == 0 {
		return err
	}
	if err := r.cfg.Collections.Local(ctx, paths); err != nil {
		return fmt.Errorf("datasets: %w", err)
	}
	return r.store.update("datasets", func(tx *bbolt.Tx) error {
		for _, p := range paths {
			if err := del(tx, dataBucket, p.String()); err != nil {
				return err
			}
		}
		return nil
	})
}
