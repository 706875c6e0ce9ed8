// Package wire is what lies on Google Drive, byte for byte, in the format of syft-client 0.1.117: the names of folders
// and files, proposals, event messages, checkpoints, rolling state, version and peers files, collections. It encodes and
// decodes under limits; it must not know Drive's calls, the tree, the journal, or when anything is sent.
// The packages of sync and the daemon may import it.
package wire

// What Drive's own fields hold.
const (
	// FolderMIME is the type of a folder.
	FolderMIME = "application/vnd.google-apps.folder"
	// TextMIME is the type that SYFT_peers.json and SYFT_version.json are uploaded with.
	TextMIME = "text/plain"
	// BinaryMIME is the type of everything else.
	BinaryMIME = "application/octet-stream"

	// AnyProperty is the app property of a collection folder that is shared with every accepted peer; its value is AnyValue.
	AnyProperty = "syft_shared_with_any"
	AnyValue    = "true"

	// RoleWriter and RoleReader are the two roles that a peer is given.
	RoleWriter = "writer"
	RoleReader = "reader"
)

// Codec encodes and decodes what is packed in archives, under limits. The zero value is ready to use.
type Codec struct {
	// Limits bounds what is read and what is written; a field that is zero stands for its default.
	Limits Limits
	// Spell says how a peer is written on Drive; nil writes the canonical address. Decoding gives canonical addresses.
	Spell Spell
}

// Limits bounds one object. A gzip stream grows at most 1,032 times, so the two sizes also bound the ratio.
type Limits struct {
	Packed   int64 // bytes as they lie on Drive; default 256 MiB
	Unpacked int64 // bytes of the tar archive, and of the JSON in it; default 512 MiB
	Entries  int   // changes, events or files in one object; default 100,000
	Path     int   // bytes of a path relative to its datasite; default 1,024
	Depth    int   // how deep JSON may be nested; default 32
}

// The sizes of the files that are JSON on Drive, not an archive. Bundles of keys stand in the peers file.
const (
	maxVersionFile = 64 << 10
	maxPeersFile   = 16 << 20
)

func (l Limits) filled() Limits {
	def := Limits{Packed: 256 << 20, Unpacked: 512 << 20, Entries: 100_000, Path: 1024, Depth: 32}
	fill(&l.Packed, def.Packed)
	fill(&l.Unpacked, def.Unpacked)
	fill(&l.Entries, def.Entries)
	fill(&l.Path, def.Path)
	fill(&l.Depth, def.Depth)
	return l
}

func fill[N int | int64](n *N, def N) {
	if *n <= 0 {
		*n = def
	}
}
