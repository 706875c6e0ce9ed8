package replica

import (
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// known is what both sides agree on about a file: of ours, what the newest planned message to the event log says; of a peer's, what its
// newest message said.
type known struct {
	Hash  datasite.Hash `json:"hash"`           // zero: there is no file
	Order time.Time     `json:"order,omitzero"` // of a peer's: when the message was made, by the clock of the store
}

// want is a file that may differ from what was sent, or, with Below, a folder in which any file may.
type want struct {
	Below  bool `json:"below,omitempty"`
	Submit bool `json:"submit,omitempty"` // a sealed job: all of it in one message

	// Of an accepted proposal, if the file still is what was proposed: it is published under the id of the proposed change.
	ID        wire.ID       `json:"id,omitzero"`
	After     datasite.Hash `json:"after,omitzero"`
	Submitted wire.Time     `json:"submitted,omitempty"`
}

// owed is a file whose newest version a peer may read and was not sent, or that it waits for an answer about.
type owed struct {
	Answers []answer `json:"answers,omitempty"` // in the order of the proposals
}

// answer is what a peer is told about a change that it proposed: what lies there now, under the id of that change.
type answer struct {
	ID        wire.ID       `json:"id"`
	Submitted wire.Time     `json:"submitted"`
	After     datasite.Hash `json:"after,omitzero"` // what was proposed
	Refused   bool          `json:"refused,omitempty"`
}

// mine is a change that was proposed and not answered.
type mine struct {
	ID    wire.ID       `json:"id"`
	After datasite.Hash `json:"after"`
	Lost  bool          `json:"lost,omitempty"` // another version took its place here: it can only be refused
}

// lane is one folder that messages are put into, one after the other.
type lane struct {
	Kind wire.FolderKind `json:"kind"` // LogFolder; OutboxFolder of our datasite; InboxFolder of the peer's
	Peer perm.User       `json:"peer,omitempty"`
}

var laneWords = map[wire.FolderKind]string{wire.LogFolder: "log", wire.InboxFolder: "in", wire.OutboxFolder: "out"}

func (l lane) String() string { return laneWords[l.Kind] + "/" + string(l.Peer) }

// owner is whose datasite the messages are about, when me is ours.
func (l lane) owner(me perm.User) perm.User {
	if l.Kind == wire.InboxFolder {
		return l.Peer
	}
	return me
}

// message is one message with everything that makes its bytes, which never change once it is planned.
type message struct {
	Lane     lane        `json:"lane"`
	Object   remote.ID   `json:"object"`
	ID       wire.ID     `json:"id"`
	At       wire.Time   `json:"at"`
	Items    []sent      `json:"items"`
	Put      bool        `json:"put,omitempty"`      // it lies on Drive
	Replaces []remote.ID `json:"replaces,omitempty"` // compacted: removed when this one lies there
	Tried    time.Time   `json:"tried,omitzero"`
}

// sent is a wire.Item whose content lies in a spool file.
type sent struct {
	ID        wire.ID       `json:"id"`
	Op        datasite.Op   `json:"op"`
	Path      string        `json:"path"` // relative to the datasite
	Before    datasite.Hash `json:"before,omitzero"`
	After     datasite.Hash `json:"after,omitzero"`
	Submitted wire.Time     `json:"submitted"`
	Accepted  wire.Time     `json:"accepted,omitempty"`
	Spool     string        `json:"spool,omitempty"` // the file with the content, which lies there at Offset
	Offset    int64         `json:"offset,omitempty"`
	Size      int64         `json:"size,omitempty"`
}

// look is an object in a folder of messages that was not dealt with.
type look struct {
	Kind   wire.FolderKind `json:"kind"` // InboxFolder: of our datasite; OutboxFolder: of the peer's
	Peer   perm.User       `json:"peer"`
	Object remote.Object   `json:"object"`
	First  time.Time       `json:"first"` // when it was first heard of
}

// seen is an object that was dealt with.
type seen struct {
	At time.Time `json:"at"`
}

// move is an object that goes to the archive.
type move struct {
	Peer perm.User `json:"peer"`
	From remote.ID `json:"from"`
}

// refusal is why a file is not where it should be.
type refusal struct {
	State  State     `json:"state"` // StateRefused or StateError
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// exchange is how it goes with a peer.
type exchange struct {
	Last   time.Time `json:"last,omitzero"`    // when a message was put for it or taken from it
	Outbox int       `json:"outbox,omitempty"` // our messages in its outbox since it was compacted
	Served bool      `json:"served,omitempty"` // it was noted what it is owed
	Inbox  remote.ID `json:"inbox,omitempty"`  // the folders of its messages to us that were looked into
	Events remote.ID `json:"events,omitempty"`
}

// listed is the folder of that kind that was looked into.
func (x *exchange) listed(kind wire.FolderKind) *remote.ID {
	if kind == wire.InboxFolder {
		return &x.Inbox
	}
	return &x.Events
}

func editExchange(tx *bbolt.Tx, u perm.User, fn func(*exchange)) error {
	x, _, err := get[exchange](tx, peerBucket, u.String())
	if err != nil {
		return err
	}
	fn(&x)
	return put(tx, peerBucket, u.String(), x)
}
