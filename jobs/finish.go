package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strconv"
)

const (
	maxLogBytes = 64 << 20 // of a stream, whatever the runner was told
	timedOut    = "--- PROCESS TIMED OUT ---"
)

// collected writes down how a run ended, with its logs complete beside it. From here on a crash changes nothing.
func (e *Engine) collected(ctx context.Context, id ID, out Outcome) error {
	j := e.peek(id)
	dir := j.rec.Run.ID
	if _, err := e.runs.Sub(dir); err != nil { // there is none yet if it failed early
		return err
	}
	for _, stream := range []string{"stdout", "stderr"} {
		raw, err := e.readLog(filepath.Join(dir, stream+rawSuffix))
		if err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return err
		}
		if err := e.runs.Write("logs", filepath.Join(dir, stream+".txt"), trailer(raw, stream, out)); err != nil {
			return err
		}
	}
	if err := SyncTree(e.runs.Path(dir)); err != nil {
		return err
	}
	return e.step(ctx, id, "collected", func(j *job) {
		r := j.rec.Run
		r.Step, r.Code, r.Reason, r.Notes = stepCollected, out.Code, out.Reason, out.Notes
		j.undone = nil
		r.Hold = !r.Started.IsZero() && out.Reason != reasonInterrupted
	})
}

// trailer ends a stream with why the run was ended, as readers of either side expect it.
func trailer(raw []byte, stream string, out Outcome) []byte {
	b := bytes.Clone(raw)
	line := func(s string) {
		if len(b) > 0 && b[len(b)-1] != '\n' {
			b = append(b, '\n')
		}
		b = append(b, s+"\n"...)
	}
	if out.Reason == reasonTimeout {
		line("")
		line(timedOut)
	}
	if out.Reason != "" && stream == "stderr" {
		if out.Reason == reasonDataset || out.Reason == reasonChanged {
			for _, n := range out.Notes {
				line(n)
			}
		}
		line("--- JOB STOPPED: " + out.Reason + " ---")
	}
	return b
}

func (e *Engine) readLog(name string) ([]byte, error) {
	f, err := os.Open(e.runs.Path(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxLogBytes))
}

// settle holds the results of an ended run and tells its end in the review folder: logs, returncode.txt, then state.yaml. It may be repeated from any
// point; what keeps it from ending is said at the job and tried again.
func (e *Engine) settle(ctx context.Context, id ID) {
	var undone func(context.Context) error
	if j := e.peek(id); j != nil {
		undone = j.undone
	}
	var err error
	if undone != nil {
		err = undone(ctx)
	}
	if err == nil {
		undone = nil
		err = e.finish(ctx, id)
	}
	if err != nil {
		e.log.Warn("ended run not recorded in full; it is tried again", "job", id.String(), "err", err)
		e.hinder(ctx, "has ended, but its end could not be recorded: "+err.Error(), undone, id)
	}
}

func (e *Engine) finish(ctx context.Context, id ID) error {
	j := e.peek(id)
	if j == nil || j.rec.Status != Running || j.rec.Run.Step != stepCollected {
		return nil
	}
	r := j.rec.Run
	if r.Hold {
		if err := e.cfg.State.Step("hold"); err != nil {
			return fmt.Errorf("hold: %w", err)
		}
		if err := e.cfg.Holder.Hold(ctx, id, r.ID, e.runs.Path(r.ID, resultsDir)); err != nil {
			return fmt.Errorf("hold the results: %w", err)
		}
	}
	review := id.Review()
	for _, f := range []struct{ in, out string }{{"stdout.txt", StdoutFile}, {"stderr.txt", StderrFile}} {
		b, err := e.readLog(filepath.Join(r.ID, f.in))
		if err != nil {
			return err
		}
		if err := e.cfg.Tree.Write(ctx, review.Join(f.out), b); err != nil {
			return err
		}
	}
	if err := e.cfg.Tree.Write(ctx, review.Join(CodeFile), []byte(strconv.Itoa(r.Code))); err != nil {
		return err
	}
	release, err := e.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	next := *e.peek(id)
	next.hindrance = ""
	end := *r
	end.Step = stepFinished
	code := r.Code
	next.rec.Run, next.rec.Code, next.rec.Completed, next.rec.Stopped = &end, &code, e.now(), r.Reason
	next.rec.Status = Failed
	if code == 0 && r.Reason == "" {
		next.rec.Status = Done
	}
	if err := e.save("finish", &next); err != nil {
		return err
	}
	e.tell(ctx, id)
	e.clear(r.ID)
	return nil
}

// clear removes what a run needed; its logs stay.
func (e *Engine) clear(runID string) {
	for _, name := range []string{workDir, resultsDir, "stdout" + rawSuffix, "stderr" + rawSuffix} {
		if err := os.RemoveAll(e.runs.Path(runID, name)); err != nil {
			e.log.Warn("left of a run not removed", "run", runID, "err", err)
		}
	}
}

// recover decides, from its record, every run that the last process left: what was collected is finished as if nothing happened, anything else was
// interrupted, and its partial results are dropped. Nothing is ever run again.
func (e *Engine) recover(ctx context.Context) error {
	keep := map[string]bool{} // runs whose results are still needed
	known := map[string]bool{}
	for id, j := range e.snapshot() {
		r := j.rec.Run
		if r == nil {
			continue
		}
		known[r.ID] = true
		if j.rec.Status != Running {
			continue
		}
		if r.Step != stepCollected {
			if err := e.collected(ctx, id, Outcome{Code: -1, Reason: reasonInterrupted}); err != nil {
				return err
			}
		}
		if e.peek(id).rec.Run.Hold {
			keep[r.ID] = true
		}
	}
	entries, err := os.ReadDir(e.runs.Path())
	if err != nil {
		return err
	}
	for _, d := range entries {
		switch {
		case !d.IsDir() || keep[d.Name()]:
		case !known[d.Name()]:
			if err := os.RemoveAll(e.runs.Path(d.Name())); err != nil {
				return err
			}
		default:
			e.clear(d.Name())
		}
	}
	return nil
}
