// Package datasite holds the shape of a datasite in pure functions: addresses, paths, areas, hashes, stamps,
// and the Change that everything downstream of the tree speaks. It touches no file and keeps no state.
// Everything above perm may import it.
package datasite

import (
	"encoding/hex"
	"errors"
	"fmt"
	iofs "io/fs"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openmined/syftfs/perm"
)

// ErrName is returned for a name that no datasite may hold: empty, ".", "..", with a slash or a NUL, over 255
// bytes, or not UTF-8 (such a name cannot travel to a peer).
var ErrName = errors.New("name cannot be used in a datasite")

// ErrStale is returned when the tree is no longer where a change's Before says.
var ErrStale = errors.New("the tree has moved on since this change was decided")

// Path names something in the tree. The zero Path is the root of a mount, above all datasites. Rel is slash separated,
// cleaned, relative to the datasite of Owner and "" for the datasite itself.
type Path struct {
	Owner perm.User
	Rel   string
}

// Parse reads "owner@x.org/dir/file". Leading, doubled and trailing slashes and "." are dropped; a path that climbs
// out of its datasite is refused.
func Parse(s string) (Path, error) {
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return Path{}, fmt.Errorf("path %q: %w", s, ErrName)
	}
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == '/' })
	for len(parts) > 0 && parts[0] == "." {
		parts = parts[1:]
	}
	if len(parts) == 0 {
		return Path{}, nil
	}
	owner, err := perm.ParseUser(parts[0])
	if err != nil {
		return Path{}, fmt.Errorf("path %q: first segment: %w", s, err)
	}
	depth := 0
	for _, p := range parts[1:] {
		switch p {
		case ".":
		case "..":
			if depth--; depth < 0 {
				return Path{}, fmt.Errorf("path %q climbs out of its datasite: %w", s, ErrName)
			}
		default:
			if err := CheckName(p); err != nil {
				return Path{}, fmt.Errorf("path %q: %w", s, err)
			}
			depth++
		}
	}
	rel := path.Join(parts[1:]...)
	if rel == "." {
		rel = ""
	}
	return Path{Owner: owner, Rel: rel}, nil
}

// CheckName refuses what can never be one segment of a path.
func CheckName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > 255 || !utf8.ValidString(name) || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%q: %w", name, ErrName)
	}
	return nil
}

// String is the form that Parse reads: "owner@x.org/dir/file", and "" for the root of a mount.
func (p Path) String() string {
	if p.Rel == "" {
		return string(p.Owner)
	}
	return string(p.Owner) + "/" + p.Rel
}

// IsRoot reports whether p is the root of a mount.
func (p Path) IsRoot() bool { return p.Owner == "" }

// Child is the path of name in folder p. At the root of a mount the name must be an address.
func (p Path) Child(name string) (Path, error) {
	if p.IsRoot() {
		u, err := perm.ParseUser(name)
		if err != nil || string(u) != name {
			return Path{}, fmt.Errorf("%q is not a datasite: %w", name, ErrName)
		}
		return Path{Owner: u}, nil
	}
	if err := CheckName(name); err != nil {
		return Path{}, err
	}
	return Path{Owner: p.Owner, Rel: path.Join(p.Rel, name)}, nil
}

// Join appends a cleaned relative path that the program itself made; it must not climb.
func (p Path) Join(rel ...string) Path {
	r := path.Join(append([]string{p.Rel}, rel...)...)
	if r == "." {
		r = ""
	}
	return Path{Owner: p.Owner, Rel: r}
}

// Parent is the folder of p; the parent of a datasite is the root of the mount.
func (p Path) Parent() Path {
	if p.Rel == "" {
		return Path{}
	}
	d := path.Dir(p.Rel)
	if d == "." {
		d = ""
	}
	return Path{Owner: p.Owner, Rel: d}
}

// Base is the last segment: a name, or the address of a datasite.
func (p Path) Base() string {
	if p.Rel == "" {
		return string(p.Owner)
	}
	return path.Base(p.Rel)
}

// Under reports whether p is dir or lies below it.
func (p Path) Under(dir Path) bool {
	if dir.IsRoot() {
		return true
	}
	return p.Owner == dir.Owner && (dir.Rel == "" || p.Rel == dir.Rel || strings.HasPrefix(p.Rel, dir.Rel+"/"))
}

// Hash is the SHA-256 of a file's bytes; the zero Hash means "not known" or "no file".
type Hash [32]byte

func (h Hash) String() string {
	if h == (Hash{}) {
		return ""
	}
	return hex.EncodeToString(h[:])
}

// MarshalText and UnmarshalText give the hexadecimal form, "" for the zero Hash.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (h *Hash) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*h = Hash{}
		return nil
	}
	var read Hash
	if len(b) != 2*len(h) {
		return fmt.Errorf("hash %q: want 64 hexadecimal digits", b)
	}
	if _, err := hex.Decode(read[:], b); err != nil {
		return fmt.Errorf("hash %q: want 64 hexadecimal digits", b)
	}
	*h = read
	return nil
}

// Stamp tells whether a file was touched since. Racy: taken within the clock's granularity of the last write,
// so an equal stamp proves nothing.
type Stamp struct {
	Dev, Ino     uint64
	Size         int64
	MTime, CTime time.Time
	Racy         bool
}

// Same reports whether the file behind both stamps is provably untouched.
func (s Stamp) Same(t Stamp) bool {
	return !s.Racy && !t.Racy && s.Dev == t.Dev && s.Ino == t.Ino && s.Size == t.Size && s.MTime.Equal(t.MTime) && s.CTime.Equal(t.CTime)
}

// Entry is what a folder holds under a name, with everything that stat tells.
type Entry struct {
	Name   string
	Mode   iofs.FileMode
	Stamp  Stamp
	Links  uint32
	Blocks int64 // of 512 bytes
	ATime  time.Time
}

// Known is what was last recorded about a file. A zero Known means "no file".
type Known struct {
	Hash  Hash // zero: not hashed yet
	Stamp Stamp
}

// Identity is as whom something is done, and who does it. Account is "" for the owner of the process and for peers.
type Identity struct {
	Subject perm.User
	Account string
}

// Op is what a change did to the tree.
type Op string

// The operations of the tree, and Submit: a sealed job folder, as one change.
const (
	OpWrite  Op = "write" // a file was made or its content changed
	OpRemove Op = "remove"
	OpRename Op = "rename" // file or folder; everything below moves with it
	OpMkdir  Op = "mkdir"
	OpSubmit Op = "submit" // Path is the job's folder
	OpPlace  Op = "place"  // Path is a folder that was put in place as a whole
)

// Origin is how a change came to be.
type Origin string

// The origins.
const (
	OriginLocal    Origin = "local"
	OriginPeer     Origin = "peer"     // applied for a peer; not sent back
	OriginRecovery Origin = "recovery" // found by comparing stamps
)

// Change is one entry of the journal.
type Change struct {
	Seq    uint64 // given by the journal
	Op     Op
	Path   Path
	From   Path // OpRename only
	Before Known
	After  Known
	By     Identity
	Origin Origin
	At     time.Time
}
