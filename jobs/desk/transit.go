package desk

import "time"

// Transit is how far what was submitted is on its way to an owner elsewhere.
type Transit struct {
	State   string    // the replicator's word: local, queued, uploading, synced, remote, proposed, refused, conflict or error
	Reason  string    // why it is refused, or cannot be sent
	Offline time.Time // since when nothing can be sent; zero: it can
}

// arrived reports whether the owner has it.
func (w Transit) arrived() bool { return w.State == "synced" || w.State == "remote" }

// stuck reports whether it does not get there without somebody's doing.
func (w Transit) stuck() bool {
	return w.State == "refused" || w.State == "conflict" || w.State == "error"
}

// words says where it is.
func (w Transit) words() string {
	switch w.State {
	case "synced", "remote":
		return "it is with the owner"
	case "uploading":
		return "it is being sent"
	case "proposed":
		return "it was sent; the owner's side has not taken it yet"
	case "refused":
		return "the owner's side did not take it"
	case "conflict":
		return "the owner's side has another version of it"
	case "error":
		return "it cannot be sent"
	}
	if !w.Offline.IsZero() {
		return "it waits to be sent (offline since " + w.Offline.UTC().Format(day) + ")"
	}
	return "it waits to be sent"
}

// way tells how far t is on its way; nil: its owner is on this machine. Of the parts of a submission one that is stuck counts most.
func (s *Submitter) way(t thing) *Transit {
	switch {
	case s.cfg.Sent == nil:
		return nil
	case t.draft == nil:
		return &Transit{State: "remote"} // it came from there
	case !t.draft.Submitted():
		return &Transit{State: "local"}
	}
	w := s.cfg.Sent(t.id.Inbox())
	if !w.arrived() && w.State != "local" {
		return &w
	}
	for _, f := range t.job.Files {
		if part := s.cfg.Sent(t.id.Inbox().Join(f.Path)); part.stuck() {
			return &part
		}
	}
	return &w
}
