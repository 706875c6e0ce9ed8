package wire

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// FileKind is what a file on Drive holds, by its name.
type FileKind uint8

// The files, except those of collections, which bear names of their own.
const (
	ProposalFile   FileKind = iota + 1 // changes that a scientist proposes
	EventsFile                         // changes that an owner published
	CheckpointFile                     // all files of a datasite at one time
	IncrementFile                      // events since the checkpoint or increment before
	RollingFile                        // events since the last increment
	PeersFile                          // whom the account exchanges with
	VersionFile                        // what the account's client is
	BundleFile                         // public keys, from clients with encryption on
)

const (
	archiveExt      = ".tar.gz"
	proposalPrefix  = "msgv2_"
	eventsPrefix    = "syfteventsmessagev3_"
	incrementPrefix = "incremental_checkpoint_"
	fullPrefix      = "checkpoint_"
	rollingPrefix   = "rolling_state_"
	peersName       = "SYFT_peers.json"
	versionName     = "SYFT_version.json"
	bundlePrefix    = "encryption_bundle_"
	bundleFor       = "_for_"
	bundleExt       = ".json"
)

// FileName is the name of a file on Drive, taken apart. Fields that its kind has not are zero.
type FileName struct {
	Kind FileKind
	At   Time    // of archives: when it was made; a rolling state keeps the name of its first upload
	ID   string  // of events: a UUID, canonical; of proposals: any text without "_", from every known client a UUID
	Seq  int     // of increments: 1 for the first
	Of   Address // of bundles: whose keys
	For  Address // of bundles: made for whom
}

// ParseFile reads the name of a file on Drive; ErrName if it is of no kind. A name that syft-client would skip because it renders
// differently (zeros at the end of the time, a UUID in capitals) is read; String gives the form that should be written.
func ParseFile(name string) (FileName, error) {
	f, err := parseFile(name)
	if err != nil {
		return FileName{}, &Error{Object: quote(name), Err: fmt.Errorf("%w: %w", ErrName, err)}
	}
	return f, nil
}

func parseFile(name string) (FileName, error) {
	switch {
	case name == peersName:
		return FileName{Kind: PeersFile}, nil
	case name == versionName:
		return FileName{Kind: VersionFile}, nil
	}
	if rest, ok := strings.CutPrefix(name, bundlePrefix); ok {
		return parseBundle(rest)
	}
	base, ok := strings.CutSuffix(name, archiveExt)
	if !ok {
		return FileName{}, formatf("unknown")
	}
	if rest, ok := strings.CutPrefix(base, proposalPrefix); ok {
		return parseTimed(ProposalFile, rest, func(id string) (string, error) { return id, checkUID(id) })
	}
	if rest, ok := strings.CutPrefix(base, eventsPrefix); ok {
		return parseTimed(EventsFile, rest, func(s string) (string, error) {
			id, err := ParseID(s)
			return id.String(), err
		})
	}
	if rest, ok := strings.CutPrefix(base, incrementPrefix); ok {
		seq, at, ok := strings.Cut(rest, "_")
		n, err := strconv.Atoi(seq)
		if !ok || err != nil || n < 1 || n > maxSeq || strconv.Itoa(n) != seq {
			return FileName{}, formatf("sequence number %s", quote(seq))
		}
		t, err := ParseTime(at)
		return FileName{Kind: IncrementFile, Seq: n, At: t}, err
	}
	if rest, ok := strings.CutPrefix(base, fullPrefix); ok {
		t, err := ParseTime(rest)
		return FileName{Kind: CheckpointFile, At: t}, err
	}
	if rest, ok := strings.CutPrefix(base, rollingPrefix); ok {
		t, err := ParseTime(rest)
		return FileName{Kind: RollingFile, At: t}, err
	}
	return FileName{}, formatf("unknown")
}

const maxSeq = 1 << 30

// parseTimed reads "<time>_<id>".
func parseTimed(kind FileKind, s string, id func(string) (string, error)) (FileName, error) {
	at, rest, ok := strings.Cut(s, "_")
	if !ok {
		return FileName{}, formatf("it has no id")
	}
	t, err := ParseTime(at)
	if err != nil {
		return FileName{}, err
	}
	text, err := id(rest)
	return FileName{Kind: kind, At: t, ID: text}, err
}

// checkUID is what the last part of a proposal's name may be.
func checkUID(s string) error {
	if s == "" || len(s) > 128 || strings.ContainsAny(s, "_/\\'") || !printable(s) {
		return formatf("id %s", quote(s))
	}
	return nil
}

func parseBundle(rest string) (FileName, error) {
	rest, ok := strings.CutSuffix(rest, bundleExt)
	of, to, found := cutAddress(rest, bundleFor)
	if !ok || !found {
		return FileName{}, formatf("unknown")
	}
	return FileName{Kind: BundleFile, Of: of, For: to}, nil
}

// cutAddress reads "<address><sep><address>". An address may hold sep before its "@", but not after it.
func cutAddress(s, sep string) (before, after Address, ok bool) {
	at := strings.IndexByte(s, '@')
	if at < 0 {
		return "", "", false
	}
	domain, rest, ok := strings.Cut(s[at:], sep)
	if !ok {
		return "", "", false
	}
	before, err := ParseAddress(s[:at] + domain)
	if err != nil {
		return "", "", false
	}
	after, err = ParseAddress(rest)
	return before, after, err == nil
}

// String renders the name, "" for a kind that does not exist.
func (f FileName) String() string {
	switch f.Kind {
	case ProposalFile:
		return proposalPrefix + f.At.String() + "_" + f.ID + archiveExt
	case EventsFile:
		return eventsPrefix + f.At.String() + "_" + f.ID + archiveExt
	case CheckpointFile:
		return fullPrefix + f.At.String() + archiveExt
	case IncrementFile:
		return incrementPrefix + strconv.Itoa(f.Seq) + "_" + f.At.String() + archiveExt
	case RollingFile:
		return rollingPrefix + f.At.String() + archiveExt
	case PeersFile:
		return peersName
	case VersionFile:
		return versionName
	case BundleFile:
		return bundlePrefix + string(f.Of) + bundleFor + string(f.For) + bundleExt
	}
	return ""
}

// Compare orders files of one kind as they are to be taken: increments by number, all else by time. Among equals the one whose name
// sorts later comes first, as syft-client lists names in descending order and keeps that order.
func (f FileName) Compare(g FileName) int {
	return cmp.Or(
		cmp.Compare(f.Kind, g.Kind),
		cmp.Compare(f.Seq, g.Seq),
		cmp.Compare(f.At, g.At),
		strings.Compare(g.String(), f.String()),
	)
}
