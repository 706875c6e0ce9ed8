package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// Exchange tells how the exchange with peers goes, from what is known on this machine; the daemon fits it with sync/replica's.
type Exchange interface {
	Status(ctx context.Context) (ExchangeStatus, error)
	// State tells where the file at p is on its way. With a peer in to it is about that peer alone, where that can be told.
	State(ctx context.Context, p datasite.Path, to perm.User) (FileState, error)
	Conflicts(ctx context.Context) ([]ConflictCopy, error)
}

// Syncer makes the exchange go on; the daemon fits it with sync/replica's.
type Syncer interface {
	Poke()                                           // a round soon
	Sync(ctx context.Context) error                  // one whole round now
	Wait(ctx context.Context, p datasite.Path) error // until p is settled: sent to everybody who may read it, or answered by its owner
	Release(ctx context.Context) error               // let the deletions go that the brake holds back now
}

// FileState is where a file is on its way.
type FileState struct {
	State  string `json:"state"` // local, queued, uploading, synced, remote, proposed, refused, conflict, error
	Reason string `json:"reason,omitempty"`
}

// stuck reports whether somebody has to do something about the file.
func (f FileState) stuck() bool {
	return slices.Contains([]string{"refused", "conflict", "error"}, f.State)
}

func (f FileState) String() string {
	if f.Reason == "" {
		return f.State
	}
	return f.State + ": " + f.Reason
}

// ExchangeStatus is how the exchange goes.
type ExchangeStatus struct {
	Drive     string         `json:"drive"`            // google, local:URL
	Account   string         `json:"account"`          // that it is signed in as
	Offline   time.Time      `json:"offline,omitzero"` // since when Drive does not answer; zero: it does
	Problem   string         `json:"problem,omitempty"`
	Synced    time.Time      `json:"synced,omitzero"` // end of the last good round
	Waiting   int            `json:"waiting"`         // files and folders to be looked at for sending
	Log       int            `json:"log"`             // files in a message on its way to the event log
	Peers     []PeerExchange `json:"peers"`
	Aside     []SetAside     `json:"aside"` // messages that are not taken, newest first
	Brake     *Brake         `json:"brake,omitempty"`
	Conflicts int            `json:"conflicts"`
}

// PeerExchange is how the exchange with one peer goes.
type PeerExchange struct {
	Address  string    `json:"address"`
	Last     time.Time `json:"last,omitzero"` // when a message was last put for it or taken from it
	Owed     int       `json:"owed"`          // files that it may read and was not sent
	Sending  int       `json:"sending"`       // files in messages on their way to it
	Incoming int       `json:"incoming"`      // messages from it that were not dealt with
	Proposed int       `json:"proposed"`      // our changes of its files without an answer
	Problem  string    `json:"problem,omitempty"`
}

// SetAside is a message, or a part of one, that is not taken and not tried again.
type SetAside struct {
	Peer   string    `json:"peer"`
	Name   string    `json:"name"`
	Path   string    `json:"path,omitempty"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Brake says why nothing is sent of some datasites: too many of their files are gone here at once.
type Brake struct {
	Deletions int       `json:"deletions"`
	Files     int       `json:"files"` // that were exchanged
	Since     time.Time `json:"since"`
}

// ConflictCopy is a version of a file that was kept beside another one.
type ConflictCopy struct {
	Path string    `json:"path"`
	Copy string    `json:"copy"` // where our version is
	By   string    `json:"by"`   // whose version lies at Path
	At   time.Time `json:"at"`
}

// exchange is the status of the exchange; nil without a Drive.
func (s *Service) exchange(ctx context.Context) (*ExchangeStatus, error) {
	if s.Exchange == nil {
		return nil, nil
	}
	st, err := s.Exchange.Status(ctx)
	if err != nil {
		return nil, Wrap(err)
	}
	conflicts, err := s.Exchange.Conflicts(ctx)
	if err != nil {
		return nil, Wrap(err)
	}
	st.Conflicts = len(conflicts)
	if st.Peers == nil {
		st.Peers = []PeerExchange{}
	}
	if st.Aside == nil {
		st.Aside = []SetAside{}
	}
	return &st, nil
}

// SyncQuestion is the question of `syftfs sync`.
type SyncQuestion struct {
	Wait bool `json:"wait"` // do one whole round before answering; else only begin one
}

// SyncNow exchanges now, whatever else is due when.
func (s *Service) SyncNow(ctx context.Context, c Caller, q SyncQuestion) (ExchangeStatus, error) {
	if err := s.admin(c, "exchanging"); err != nil {
		return ExchangeStatus{}, err
	}
	if s.Exchange == nil || s.Syncer == nil {
		return ExchangeStatus{}, noDrive("exchanging")
	}
	if !q.Wait {
		s.Syncer.Poke()
		return s.mustExchange(ctx)
	}
	if err := s.Syncer.Sync(ctx); err != nil {
		return ExchangeStatus{}, s.failedRound(ctx, err)
	}
	return s.mustExchange(ctx)
}

// mustExchange is exchange where there is a Drive.
func (s *Service) mustExchange(ctx context.Context) (ExchangeStatus, error) {
	st, err := s.exchange(ctx)
	if err != nil {
		return ExchangeStatus{}, err
	}
	return *st, nil
}

// failedRound tells why a round failed: that Drive is away is nothing that is wrong here.
func (s *Service) failedRound(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return Wrap(err)
	}
	st, serr := s.exchange(ctx)
	if serr != nil {
		return errors.Join(Wrap(err), serr)
	}
	if st.Offline.IsZero() {
		return Wrap(err)
	}
	return &Error{Code: NotRunning, Message: fmt.Sprintf("Drive does not answer: %v (what changed here is kept, and is sent when it does)", err), Err: err}
}

// SyncRelease lets the deletions go that the brake holds back now, and no more than those.
func (s *Service) SyncRelease(ctx context.Context, c Caller, _ struct{}) (ExchangeStatus, error) {
	if err := s.admin(c, "releasing the brake"); err != nil {
		return ExchangeStatus{}, err
	}
	st, err := s.exchange(ctx)
	switch {
	case err != nil:
		return ExchangeStatus{}, err
	case st == nil || s.Syncer == nil:
		return ExchangeStatus{}, noDrive("exchanging")
	case st.Brake == nil:
		return ExchangeStatus{}, &Error{Code: Conflict, Message: "nothing is held back: the brake is not on"}
	}
	return audited(s, c, Entry{Action: "sync.release", Target: fmt.Sprintf("%d deletions of %d files", st.Brake.Deletions, st.Brake.Files)}, func() (ExchangeStatus, error) {
		if err := s.Syncer.Release(ctx); err != nil {
			return ExchangeStatus{}, err
		}
		return s.mustExchange(ctx)
	})
}

// Conflicts lists the versions that are kept beside others.
func (s *Service) Conflicts(ctx context.Context, c Caller, _ struct{}) ([]ConflictCopy, error) {
	if err := s.admin(c, "listing conflicts"); err != nil {
		return nil, err
	}
	if s.Exchange == nil {
		return []ConflictCopy{}, nil // nobody else changes anything here
	}
	list, err := s.Exchange.Conflicts(ctx)
	if err != nil {
		return nil, Wrap(err)
	}
	return append([]ConflictCopy{}, list...), nil
}

// ConflictsText lists conflicts for people.
func ConflictsText(list []ConflictCopy) string {
	if len(list) == 0 {
		return "no conflicts\n"
	}
	var b strings.Builder
	b.WriteString("Both sides changed these files. Compare them, keep what is right in the place of the file, and remove the copy.\n")
	for _, c := range list {
		fmt.Fprintf(&b, "\n/%s\n  there is the version of %s, since %s\n  yours is kept as /%s\n", c.Path, c.By, moment(c.At), c.Copy)
	}
	return b.String()
}

// summary is one line about the exchange with a peer.
func (x PeerExchange) summary() string {
	parts := []string{"nothing exchanged yet"}
	if !x.Last.IsZero() {
		parts[0] = "last " + moment(x.Last)
	}
	for _, n := range []struct {
		n    int
		what string
	}{{x.Owed, "%d files to send"}, {x.Sending, "%d files on their way"}, {x.Incoming, "%d messages to take"}, {x.Proposed, "%d changes without an answer"}} {
		if n.n > 0 {
			parts = append(parts, fmt.Sprintf(n.what, n.n))
		}
	}
	return strings.Join(parts, ", ")
}

// Text is the exchange for people, as lines of the status.
func (x ExchangeStatus) Text() string {
	var b strings.Builder
	row := rows(&b)
	row("drive", "%s as %s", x.Drive, x.Account)
	switch {
	case !x.Offline.IsZero():
		row("exchange", "Drive does not answer since %s; what changes here is kept, and sent when it does", moment(x.Offline))
	case x.Synced.IsZero():
		row("exchange", "no round yet")
	default:
		row("exchange", "last round %s; %d to look at, %d on their way to the log", moment(x.Synced), x.Waiting, x.Log)
	}
	if x.Problem != "" {
		row("problem", "%s", x.Problem)
	}
	for _, p := range x.Peers {
		text := p.summary()
		if p.Problem != "" {
			text += "; " + p.Problem
		}
		row("peer", "%s: %s", p.Address, text)
	}
	if x.Brake != nil {
		row("brake", "%d of %d files are gone here at once, so since %s nothing of their datasites is sent: put them back, or let the deletions go with `syftfs sync release`",
			x.Brake.Deletions, x.Brake.Files, moment(x.Brake.Since))
	}
	if x.Conflicts > 0 {
		row("conflicts", "%s: see .syft/conflicts, or `syftfs sync conflicts`", plural(x.Conflicts, "file"))
	}
	for i, a := range x.Aside {
		if i == maxAsideShown {
			row("set aside", "and %d more", len(x.Aside)-i)
			break
		}
		what := a.Name
		if a.Path != "" {
			what += ", " + a.Path
		}
		if !a.At.IsZero() {
			what += ", " + moment(a.At)
		}
		row("set aside", "%s: %s: %s", a.Peer, what, a.Reason)
	}
	return b.String()
}

// maxAsideShown is how many messages that are not taken are told for people.
const maxAsideShown = 5
