package service

import (
	"context"
	"fmt"
	"strings"

	"github.com/openmined/syftfs/jobs"
)

// Status is everything `syftfs status` shows.
type Status struct {
	State
	Views    []View              `json:"views"`
	Jobs     map[jobs.Status]int `json:"jobs"`
	Datasets int                 `json:"datasets"`
	Accounts int                 `json:"accounts"`
	Runner   string              `json:"runner"`             // "" when jobs can run, else what is missing and the remedy
	Exchange *ExchangeStatus     `json:"exchange,omitempty"` // nil: there is no Drive
	Asking   []string            `json:"asking,omitempty"`   // who asks to be a peer
}

// Status tells how the datasite is.
func (s *Service) Status(ctx context.Context, c Caller, _ struct{}) (Status, error) {
	if err := s.admin(c, "the status"); err != nil {
		return Status{}, err
	}
	st := Status{State: s.Host.State(), Views: s.Views.List(), Jobs: map[jobs.Status]int{}}
	for _, j := range s.Engine.List() {
		st.Jobs[j.Status]++
	}
	sets, err := s.DatasetList(ctx, c, struct{}{})
	if err != nil {
		return Status{}, err
	}
	st.Datasets = len(sets)
	st.Accounts = len(s.Accounts.List())
	if err := s.Runner.Ready(ctx); err != nil {
		st.Runner = err.Error()
	}
	if st.Exchange, err = s.exchange(ctx); err != nil {
		return Status{}, err
	}
	if s.Peers == nil {
		return st, nil
	}
	peers, err := s.peers(ctx)
	if err != nil {
		return Status{}, err
	}
	for _, p := range peers {
		if p.State == PeerPending {
			st.Asking = append(st.Asking, p.Address)
		}
	}
	return st, nil
}

// Shutdown ends the process in order: jobs, mounts, journal.
func (s *Service) Shutdown(_ context.Context, c Caller, _ struct{}) (struct{}, error) {
	if err := s.admin(c, "stopping the datasite"); err != nil {
		return struct{}{}, err
	}
	// Stopping is never refused for want of a log.
	s.ended(c, Entry{Action: "land", Target: s.Host.State().Name}, nil)
	s.Host.Shutdown()
	return struct{}{}, nil
}

// Text is the status for people.
func (st Status) Text() string {
	var b strings.Builder
	row := rows(&b)
	row("datasite", "%s (%s)", st.Email, st.Name)
	row("mount", "%s", st.Mount)
	row("files", "%s", st.Backing)
	row("state", "%s", st.StateDir)
	row("process", "%d, up since %s", st.PID, moment(st.Started))
	if st.Reconciled {
		row("journal", "%d changes; %d found at start", st.Changes, st.Recovered)
	} else {
		row("journal", "%d changes; comparing the tree with what was last recorded ...", st.Changes)
	}
	row("people", "%d accounts, %d datasets", st.Accounts, st.Datasets)
	var parts []string
	for _, s := range []jobs.Status{jobs.Received, jobs.Pending, jobs.Approved, jobs.Running, jobs.Done, jobs.Failed, jobs.Rejected} {
		if n := st.Jobs[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if parts == nil {
		parts = []string{"none"}
	}
	row("jobs", "%s", strings.Join(parts, ", "))
	for _, v := range st.Views {
		kind := "preview until " + v.Expires.Local().Format("15:04")
		if v.Write {
			kind = "a place to work"
		}
		row("view", "%s as %s, %s", v.Dir, v.Who(), kind)
	}
	if st.Runner == "" {
		row("sandbox", "ready")
	} else {
		row("sandbox", "jobs cannot run: %s", st.Runner)
	}
	if st.Exchange == nil {
		row("drive", "none: peers need one (`syftfs auth --help`)")
	} else {
		b.WriteString(st.Exchange.Text())
	}
	for _, a := range st.Asking {
		row("asks", "%s, to be a peer: syftfs peers accept %[1]s --show tells what that gives", a)
	}
	for _, p := range st.Problems {
		row("problem", "%s", p)
	}
	return b.String()
}
