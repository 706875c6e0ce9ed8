package replica

import (
	"slices"

	"github.com/openmined/syftfs/fs/datasite"
)

// Outcome is what is done with the version of a file that somebody else offers.
type Outcome uint8

const (
	// Keep leaves our version in its place.
	Keep Outcome = iota
	// Take puts theirs into its place; what was there is known to them.
	Take
	// TakeCopy keeps ours under another name, then puts theirs into its place.
	TakeCopy
)

// Versions is what is known about a file when theirs is offered. The zero Hash stands for "no file".
type Versions struct {
	Base   datasite.Hash   // what both sides last agreed on
	Ours   datasite.Hash   // what lies here now
	Mine   []datasite.Hash // what we sent since Base and had no answer to, oldest first: Ours may come from each of them
	Theirs datasite.Hash   // what is offered
	Past   []datasite.Hash // what Theirs comes from, as the other side says: it had seen each of them
	News   bool            // theirs is an answer to ours, or the first that is heard of the file: it counts even if it is Base
	Settle bool            // the file is in our datasite: what we have stands, and they make the copy
}

// Resolve decides. It loses no bytes: what is overwritten was known to whoever overwrites it, is offered to nobody because it is no file,
// or is kept as a copy (with Settle: by the other side, which has it). Deciding again after having done it is Keep.
func Resolve(v Versions) Outcome {
	switch {
	case v.Ours == v.Theirs:
		return Keep
	case v.Settle:
		if len(v.Past) > 0 && v.Past[len(v.Past)-1] == v.Ours {
			return Take
		}
		return Keep
	case v.Theirs == v.Base && !v.News, slices.Contains(v.Mine, v.Theirs):
		return Keep // nothing new for us
	case v.Ours == v.Base, v.Ours == (datasite.Hash{}), slices.Contains(v.Past, v.Ours):
		return Take
	}
	return TakeCopy
}
