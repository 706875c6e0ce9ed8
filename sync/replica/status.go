package replica

import (
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// State is where a file is on its way; user.syft.state shows it.
type State string

// The states.
const (
	StateLocal     State = "local"     // it does not leave this machine, or nothing was recorded about it
	StateQueued    State = "queued"    // it waits for its turn, for the network or for the peer
	StateUploading State = "uploading" // a message with it is on its way
	StateSynced    State = "synced"    // our file: published, and sent to everybody who may read it
	StateRemote    State = "remote"    // a peer's file, as its owner sent it
	StateProposed  State = "proposed"  // our change of a peer's file: sent, not answered
	StateRefused   State = "refused"   // our change of a peer's file: its owner did not take it
	StateConflict  State = "conflict"  // another version of it is kept beside it, or it is such a version
	StateError     State = "error"     // it cannot be sent; the reason says why
)

// Status is what goes on.
type Status struct {
	Offline time.Time   // since when Drive does not answer; zero: it does
	Problem string      // of the last round that failed, for people; "" after a good one
	Synced  time.Time   // end of the last good round
	Waiting int         // files and folders to be looked at for sending
	Log     int         // files in a message on its way to the event log
	Peers   []PeerState // in the order of their addresses
	Aside   []Aside     // newest first, at most 100
	Brakes  []Braked    // datasites of which nothing is sent
}

// PeerState is how the exchange with one peer goes.
type PeerState struct {
	User     perm.User
	Last     time.Time // when a message was last put for it or taken from it
	Owed     int       // files that it may read and was not sent
	Sending  int       // files in messages on their way to it
	Incoming int       // messages from it that were not dealt with
	Proposed int       // our changes of its files without an answer
	Problem  string    // why it does not go on; "" if it does
}

// Aside is a message, or a part of one, that is not taken and not tried again.
type Aside struct {
	Peer   perm.User
	Name   string // of the message
	Path   string // of the file, if it is only about one
	Reason string
	At     time.Time
}

// Braked says why nothing is sent of a datasite: so much of it is gone here.
type Braked struct {
	Owner     perm.User
	Deletions int
	Files     int // that were exchanged
	Since     time.Time
}

// Conflict is a version of a file that was kept.
type Conflict struct {
	Path datasite.Path
	Copy datasite.Path // where our version is
	By   perm.User     // whose version lies at Path
	At   time.Time
}
