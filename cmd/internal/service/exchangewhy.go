package service

import (
	"context"
	"fmt"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// Elsewhere is the other half of an answer about somebody who is not at this machine: a right is of use once there is exchange, and the
// file has arrived.
type Elsewhere struct {
	Peer PeerState  `json:"peer,omitempty"` // "": no peer
	File *FileState `json:"file,omitempty"` // where the file is on its way to that peer, or in a replica, from its owner
	Text string     `json:"text"`
}

// abroad tells whether p has been delivered to u, or in the datasite of somebody else, to us. It is nil where that is no question.
func (s *Service) abroad(ctx context.Context, u perm.User, p datasite.Path) (*Elsewhere, error) {
	switch {
	case p.IsRoot() || u == perm.Anonymous:
		return nil, nil
	case p.Owner != s.Owner:
		return s.delivered(ctx, p)
	case u == s.Owner:
		return nil, nil
	}
	var peer Peer
	known := false
	if s.Peers != nil {
		var err error
		if peer, known, err = s.peer(ctx, u); err != nil {
			return nil, err
		}
	}
	if !known {
		if _, err := s.Accounts.Get(string(u)); err == nil {
			return nil, nil // somebody at this machine
		}
		e := &Elsewhere{Text: fmt.Sprintf("%s is no peer: whatever the rules say, nothing has been delivered there (`syftfs peers request %[1]s`)", u)}
		if s.Peers == nil {
			e.Text = fmt.Sprintf("%s is no peer, and this datasite has no Drive: whatever the rules say, nothing has been delivered there", u)
		}
		return e, nil
	}
	e := &Elsewhere{Peer: peer.State}
	if e.Text = peer.without(); e.Text != "" {
		return e, nil
	}
	return e, s.sent(ctx, e, u, p)
}

// without tells why nothing at all is delivered to a peer; "" if it is exchanged with.
func (p Peer) without() string {
	const nothing = ": whatever the rules say, nothing is delivered there"
	switch {
	case p.State == PeerPending:
		return fmt.Sprintf("%s asks to be a peer and has no answer%s (`syftfs peers accept %[1]s`)", p.Address, nothing)
	case p.State == PeerRequested:
		return fmt.Sprintf("%s was asked to be a peer and did not answer%s", p.Address, nothing)
	case p.State != PeerAccepted:
		return fmt.Sprintf("%s is %s%s", p.Address, p.State, nothing)
	case !p.Serving && p.Note != "":
		return fmt.Sprintf("%s is an accepted peer, but nothing is delivered: %s", p.Address, p.Note)
	case !p.Serving:
		return fmt.Sprintf("%s is an accepted peer, but nothing is delivered yet", p.Address)
	}
	return ""
}

// sent tells what became of a file of ours on its way to an accepted peer.
func (s *Service) sent(ctx context.Context, e *Elsewhere, u perm.User, p datasite.Path) error {
	e.Text = string(u) + " is an accepted peer; "
	d, err := s.View.Explain(ctx, u, p, perm.Read)
	if err != nil {
		return Wrap(err)
	}
	public := datasite.Path{Owner: s.Owner, Rel: datasite.PublicDatasetsDir}
	switch {
	case p != public && p.Under(public):
		e.Text += "a dataset is delivered whole, once by the rules its mock part may be read"
		return nil
	case !p.Replicated():
		e.Text += "this never leaves this machine"
		return nil
	case !d.Allowed:
		e.Text += "what it may not read is not sent to it (what it received before stays with it)"
		return nil
	case s.Exchange == nil:
		e.Text += "whether it was delivered is not known"
		return nil
	}
	f, err := s.Exchange.State(ctx, p, u)
	if err != nil {
		return Wrap(err)
	}
	e.File = &f
	e.Text += deliveries[f.State]
	if deliveries[f.State] == "" {
		e.Text += f.State
	}
	if f.Reason != "" {
		e.Text += ": " + f.Reason
	}
	problem, err := s.trouble(ctx, u)
	if problem != "" {
		e.Text += "; the last error: " + problem
	}
	return err
}

// deliveries tells in words where a file of ours is on its way.
var deliveries = map[string]string{
	"local":     "it has not been delivered: nothing was recorded about it yet",
	"queued":    "it has not been delivered to everybody who may read it: it waits for its turn, for Drive or for a peer",
	"uploading": "it has not been delivered yet: it is on its way",
	"synced":    "it has been delivered",
	"conflict":  "it has been delivered, and another version of it is kept beside it",
	"error":     "it has not been delivered",
}

// trouble is why the exchange with u does not go on; "" if it does.
func (s *Service) trouble(ctx context.Context, u perm.User) (string, error) {
	st, err := s.Exchange.Status(ctx)
	if err != nil {
		return "", Wrap(err)
	}
	for _, x := range st.Peers {
		if x.Address == string(u) && x.Problem != "" {
			return x.Problem, nil
		}
	}
	if !st.Offline.IsZero() {
		return "Drive does not answer since " + moment(st.Offline), nil
	}
	return st.Problem, nil
}

// delivered tells about a path in the datasite of somebody else.
func (s *Service) delivered(ctx context.Context, p datasite.Path) (*Elsewhere, error) {
	e := &Elsewhere{Text: fmt.Sprintf("this datasite has no Drive: nothing of %s has been delivered here", p.Owner)}
	if s.Exchange == nil || s.Peers == nil {
		return e, nil
	}
	peer, _, err := s.peer(ctx, p.Owner)
	if err != nil {
		return nil, err
	}
	e.Peer = peer.State
	f, err := s.Exchange.State(ctx, p, "")
	if err != nil {
		return nil, Wrap(err)
	}
	e.File = &f
	switch f.State {
	case "remote":
		e.Text = fmt.Sprintf("delivered by %s; to write there is that owner's to allow", p.Owner)
	case "local":
		e.Text = fmt.Sprintf("%s has not delivered it", p.Owner)
	case "proposed":
		e.Text = fmt.Sprintf("your change was sent to %s, who has not answered", p.Owner)
	case "refused":
		e.Text = fmt.Sprintf("%s did not take your change", p.Owner)
	default:
		e.Text = fmt.Sprintf("your change has not been sent to %s: %s", p.Owner, f.State)
	}
	if f.Reason != "" {
		e.Text += ": " + f.Reason
	}
	if problem, err := s.trouble(ctx, p.Owner); err != nil {
		return nil, err
	} else if problem != "" {
		e.Text += "; the last error: " + problem
	}
	return e, nil
}
