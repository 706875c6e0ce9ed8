package wire

import (
	"fmt"
	"strings"
)

// FolderKind is what a folder on Drive is for, by its name.
type FolderKind uint8

// The folders.
const (
	TopFolder         FolderKind = iota + 1 // holds all others of an account
	LogFolder                               // the event log of a datasite
	InboxFolder                             // proposals to a datasite; made, owned and written by the peer
	OutboxFolder                            // events from a datasite to a peer; made and owned by that peer
	ArchiveFolder                           // proposals that were taken
	CheckpointsFolder                       // full checkpoints and increments
	RollingFolder                           // the rolling state
	CollectionFolder                        // the shown files of a dataset
	PrivateFolder                           // the private files of a dataset, for its owner
	BundlesFolder                           // public keys, from clients with encryption on
)

const (
	topName           = "SyftBox"
	peerPrefix        = "syft_datasite"
	inboxWord         = "inbox"
	outboxWord        = "outbox"
	archivePrefix     = "syft_"
	archiveTo         = "_to_"
	archiveSuffix     = "_archive"
	checkpointsSuffix = "-checkpoints"
	rollingSuffix     = "-rolling-state"
	collectionPrefix  = "syft_datasetcollection_"
	privatePrefix     = "syft_privatecollection_"
	bundlesPrefix     = "syft_encryption_bundles#"
)

// FolderName is the name of a folder on Drive, taken apart. Fields that its kind has not are zero.
type FolderName struct {
	Kind    FolderKind
	Version Version // of log, inbox, outbox, checkpoints, rolling state: of the client that made it
	Of      Address // of log, inbox, outbox, archive, checkpoints, rolling state: the datasite; of bundles: whose keys
	Peer    Address // of inbox, outbox: who made and owns it; of archive: who proposed
	Tag     string  // of collections: the dataset's name
	Hash    string  // of collections: 12 digits over the files, see CollectionHash
}

// ParseFolder reads the name of a folder on Drive; ErrName if it is of no kind.
func ParseFolder(name string) (FolderName, error) {
	f, err := parseFolder(name)
	if err != nil {
		return FolderName{}, &Error{Object: quote(name), Err: fmt.Errorf("%w: %w", ErrName, err)}
	}
	return f, nil
}

func parseFolder(name string) (FolderName, error) {
	if name == topName {
		return FolderName{Kind: TopFolder}, nil
	}
	if rest, ok := strings.CutPrefix(name, collectionPrefix); ok {
		return parseCollection(CollectionFolder, rest)
	}
	if rest, ok := strings.CutPrefix(name, privatePrefix); ok {
		return parseCollection(PrivateFolder, rest)
	}
	if rest, ok := strings.CutPrefix(name, bundlesPrefix); ok {
		of, err := ParseAddress(rest)
		return FolderName{Kind: BundlesFolder, Of: of}, err
	}
	if rest, ok := strings.CutPrefix(name, peerPrefix+"#"); ok {
		return parsePair(rest)
	}
	if rest, ok := strings.CutSuffix(name, archiveSuffix); ok && strings.HasPrefix(rest, archivePrefix) {
		from, to, ok := cutAddress(strings.TrimPrefix(rest, archivePrefix), archiveTo)
		if !ok {
			return FolderName{}, formatf("no archive of proposals")
		}
		return FolderName{Kind: ArchiveFolder, Of: to, Peer: from}, nil
	}
	if rest, ok := strings.CutSuffix(name, checkpointsSuffix); ok {
		return parsePersonal(CheckpointsFolder, rest)
	}
	if rest, ok := strings.CutSuffix(name, rollingSuffix); ok {
		return parsePersonal(RollingFolder, rest)
	}
	if version, of, ok := strings.Cut(name, "#"); ok {
		return versioned(FolderName{Kind: LogFolder}, version, of)
	}
	return FolderName{}, formatf("unknown")
}

func versioned(f FolderName, version, of string) (FolderName, error) {
	var err error
	if f.Version, err = ParseVersion(version); err != nil {
		return FolderName{}, err
	}
	f.Of, err = ParseAddress(of)
	return f, err
}

// parsePair reads "V#<datasite>#<inbox|outbox>#<peer>".
func parsePair(rest string) (FolderName, error) {
	parts := strings.Split(rest, "#")
	if len(parts) != 4 {
		return FolderName{}, formatf("%d fields between #", len(parts)+1)
	}
	f := FolderName{Kind: InboxFolder}
	switch parts[2] {
	case inboxWord:
	case outboxWord:
		f.Kind = OutboxFolder
	default:
		return FolderName{}, formatf("%s is neither inbox nor outbox", quote(parts[2]))
	}
	f, err := versioned(f, parts[0], parts[1])
	if err != nil {
		return FolderName{}, err
	}
	f.Peer, err = ParseAddress(parts[3])
	return f, err
}

// parsePersonal reads "<email>-V".
func parsePersonal(kind FolderKind, rest string) (FolderName, error) {
	dash := strings.LastIndexByte(rest, '-')
	if dash < 0 {
		return FolderName{}, formatf("it has no version")
	}
	return versioned(FolderName{Kind: kind}, rest[dash+1:], rest[:dash])
}

// parseCollection reads "<tag>_<hash>".
func parseCollection(kind FolderKind, rest string) (FolderName, error) {
	cut := strings.LastIndexByte(rest, '_')
	if cut < 0 {
		return FolderName{}, formatf("it has no hash")
	}
	f := FolderName{Kind: kind, Tag: rest[:cut], Hash: rest[cut+1:]}
	if len(f.Hash) != collectionDigits || strings.Trim(f.Hash, "0123456789abcdef") != "" {
		return FolderName{}, formatf("%s is no hash of a collection", quote(f.Hash))
	}
	return f, checkSegment(f.Tag)
}

// String renders the name, "" for a kind that does not exist.
func (f FolderName) String() string {
	switch f.Kind {
	case TopFolder:
		return topName
	case LogFolder:
		return f.Version.String() + "#" + string(f.Of)
	case InboxFolder:
		return strings.Join([]string{peerPrefix, f.Version.String(), string(f.Of), inboxWord, string(f.Peer)}, "#")
	case OutboxFolder:
		return strings.Join([]string{peerPrefix, f.Version.String(), string(f.Of), outboxWord, string(f.Peer)}, "#")
	case ArchiveFolder:
		return archivePrefix + string(f.Peer) + archiveTo + string(f.Of) + archiveSuffix
	case CheckpointsFolder:
		return string(f.Of) + "-" + f.Version.String() + checkpointsSuffix
	case RollingFolder:
		return string(f.Of) + "-" + f.Version.String() + rollingSuffix
	case CollectionFolder:
		return collectionPrefix + f.Tag + "_" + f.Hash
	case PrivateFolder:
		return privatePrefix + f.Tag + "_" + f.Hash
	case BundlesFolder:
		return bundlesPrefix + string(f.Of)
	}
	return ""
}

// Owner is the account that must own a folder of this name on Drive, "" if the name does not say it (the top folder, collections).
// Anybody can give a folder any name: one that is owned by somebody else is not to be used.
func (f FolderName) Owner() Address {
	switch f.Kind {
	case InboxFolder, OutboxFolder:
		return f.Peer
	}
	return f.Of
}

// Serves reports whether a client that would make f uses the folder g instead: the same but for the patch number of the version. When
// several folders serve, a Python client fails, so none of them may be picked.
func (f FolderName) Serves(g FolderName) bool {
	if !f.Version.Sees(g.Version) {
		return false
	}
	g.Version = f.Version
	return f == g
}

// Find picks the folder among names that serves in the place of f: its index, or -1 if f must be made. Names that are of no kind do
// not count. Two that serve are an error that wraps ErrDuplicate: then nothing may be written to either.
func (f FolderName) Find(names []string) (int, error) {
	found := -1
	for i, name := range names {
		g, err := ParseFolder(name)
		if err != nil || !f.Serves(g) {
			continue
		}
		if found >= 0 {
			return -1, &Error{Object: quote(f.String()), Err: fmt.Errorf("both %s and %s are there; delete the one without messages on Drive: %w", quote(names[found]), quote(name), ErrDuplicate)}
		}
		found = i
	}
	return found, nil
}

// Pair is what me makes on its own Drive to ask peer for exchange, and to accept it: the inbox and the outbox of peer's datasite for me.
// Both are shared with peer as writer; beside them the version file is shared as reader.
func Pair(v Version, me, peer Address) (inbox, outbox FolderName) {
	inbox = FolderName{Kind: InboxFolder, Version: v, Of: peer, Peer: me}
	outbox = inbox
	outbox.Kind = OutboxFolder
	return inbox, outbox
}

// Asks reports who asks me for exchange (or accepted it) by the existence of folder f, whatever its version. It holds only if that
// account owns the folder.
func (f FolderName) Asks(me Address) (peer Address, ok bool) {
	if (f.Kind != InboxFolder && f.Kind != OutboxFolder) || f.Of != me || f.Peer == me {
		return "", false
	}
	return f.Peer, true
}

// SharedAs is the role that peers get on a folder of kind k, "" if it is never shared.
func (k FolderKind) SharedAs() string {
	switch k {
	case InboxFolder, OutboxFolder:
		return RoleWriter
	case CollectionFolder, BundlesFolder:
		return RoleReader
	}
	return ""
}
