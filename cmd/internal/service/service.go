// Package service is every operation that a person can ask of a running datasite, once: who may ask, what it does with the
// parts, what it answers. It does not know HTTP, pages, control files or the command line: those are doors to it.
// The doors and the daemon import it.
package service

import (
	"context"
	"log/slog"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/grant"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/jobs/release"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/account"
)

// Caller is who asks, as the door proved it. The zero Caller may do nothing.
type Caller struct {
	Account string // id of the local account
	Root    bool   // the owner, proven by the uid of the socket's other end
	Via     string // "socket", "page", ...
	Reason  string // why the door could not prove more: "uid", "namespace", ...
}

// Views makes and unmakes mounts with a fixed identity; the daemon fits it.
type Views interface {
	Open(ctx context.Context, who datasite.Identity, o ViewOptions) (View, error)
	List() []View
	Gone(dir string) (<-chan struct{}, error) // closed when the view at dir is no longer mounted
	Close(ctx context.Context, dir string) error
}

// Host is what the running process tells about itself; the daemon fits it.
type Host interface {
	State() State
	Shutdown()
	Stopping() <-chan struct{}                    // closed when the process begins to stop
	Admit(ctx context.Context, u perm.User) error // make the job folders of a verified local scientist
}

// State is the running process in figures and sentences.
type State struct {
	Name       string    `json:"name"`
	Email      string    `json:"email"`
	Mount      string    `json:"mount"`
	Backing    string    `json:"backing"`
	StateDir   string    `json:"state"`
	Socket     string    `json:"socket"`
	PID        int       `json:"pid"`
	Started    time.Time `json:"started"`
	Reconciled bool      `json:"reconciled"` // the comparison at start has ended
	Recovered  int       `json:"recovered"`  // changes that it found
	Changes    uint64    `json:"changes"`    // in the journal
	Problems   []string  `json:"problems"`
}

// Parts is what a Service works with.
type Parts struct {
	Owner    perm.User
	View     *guard.View // the owner's, for work that is the owner's
	Accounts *account.Store
	Granter  *grant.Granter
	Engine   *jobs.Engine
	Held     *release.Store
	Runner   jobs.Runner
	Views    Views
	Host     Host
	HostPath func(datasite.Path) string // where a stored folder lies on this machine

	As func(who datasite.Identity) *guard.View // to see as somebody else does; whoever asked for it closes it

	// Without a Drive these are nil.
	Peers      Peers
	Exchange   Exchange
	Syncer     Syncer
	Submitters Submitters

	Audit *Audit
	Log   *slog.Logger
	Now   func() time.Time
}

// Service answers. Safe for concurrent use.
type Service struct{ Parts }

// New makes the service of parts.
func New(p Parts) *Service { return &Service{p} }

// admin refuses a caller who is neither the owner nor an administrator.
func (s *Service) admin(c Caller, op string) error {
	if c.Root {
		return nil
	}
	if c.Account != "" {
		if subject, err := s.Accounts.Subject(c.Account); err == nil && subject == s.Owner {
			return nil
		}
	}
	if err := s.Audit.denied(c, op); err != nil {
		s.Log.Error("not written to the audit log", "op", op, "err", err)
	}
	return &Error{Code: Forbidden, Message: op + " is for the owner of this datasite; ask " + string(s.Owner)}
}

// by is the identity that a caller acts under.
func (s *Service) by(c Caller) datasite.Identity {
	return datasite.Identity{Subject: s.Owner, Account: c.Account}
}
