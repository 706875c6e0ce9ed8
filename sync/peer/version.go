package peer

import (
	"fmt"

	"github.com/openmined/syftfs/sync/wire"
)

// Compat says how a peer's client goes with ours.
type Compat uint8

// From the version files; only the client's own version is ever compared.
const (
	Unknown      Compat = iota // there is no version file that can be read, or it cannot be compared
	Same                       // the very same version
	PatchDiffers               // major and minor are equal
	Incompatible               // they see none of each other's folders
)

func (c Compat) String() string {
	switch c {
	case Same:
		return "same"
	case PatchDiffers:
		return "patch_diff"
	case Incompatible:
		return "incompatible"
	}
	return "unknown"
}

// Compare compares two versions as the version files have them; "" is not known.
func Compare(ours, theirs string) Compat {
	v, err := wire.ParseVersion(ours)
	if err != nil {
		return Unknown
	}
	w, err := wire.ParseVersion(theirs)
	switch {
	case err != nil:
		return Unknown
	case v == w:
		return Same
	case v.Sees(w):
		return PatchDiffers
	}
	return Incompatible
}

// note says what is not as it should be with a peer that we exchange with, or may.
func (b *Book) note(e *entry, p Peer) string {
	theirs, ours := p.Version.Client, b.cfg.Version.Client
	switch {
	case p.Forced:
	case p.Compat == Incompatible:
		return fmt.Sprintf("it runs syft-client %s, this side speaks %s: nothing is exchanged until one of them changes", theirs, ours)
	case p.Compat == Unknown && e.Version.Bad != "":
		return "its version file cannot be read: " + e.Version.Bad
	case p.Compat == Unknown && p.State == StateAccepted:
		return "its version file was not seen yet; nothing is exchanged until then"
	case p.Compat == PatchDiffers && b.cfg.SkipPatch:
		return fmt.Sprintf("it runs syft-client %s, not %s: skipped, as set", theirs, ours)
	case p.Compat == PatchDiffers && !p.Syftfs:
		return fmt.Sprintf("it runs syft-client %s, not %s: as a data owner it passes over what comes from here", theirs, ours)
	}
	if p.State == StateAccepted && (p.Inbox == "" || p.Outbox == "") {
		return "its folders for this datasite were not seen yet"
	}
	return ""
}
