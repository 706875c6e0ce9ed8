// Package remote is the contract for a place where several accounts keep objects and share them: what each call promises,
// which errors are permanent, what may be repeated. It must not know peers, journals, datasites or what an object contains,
// nor any particular service. sync/drive fulfils it, remotetest checks that, and every package that exchanges imports it.
//
// Four promises hold for all calls. Each returns an *Error when it fails, and errors.Is finds its Kind; the end of the
// context and a Body that cannot be read are returned as they are, wrapped. Each may be repeated after any failure: the second time does nothing that the first did not. A call that
// failed may still have been done, whatever the error says. All may be called concurrently.
//
// Ids are the truth: Stat and Get by id see a finished write at once. Names and lists are hints: a list may lag behind by
// minutes, show what is gone, or miss what is there, so that nothing may be concluded from an absence in it.
package remote

import (
	"bytes"
	"context"
	"io"
	"time"
)

// ID names one object for ever; it is opaque, and never used again for another.
type ID string

// Root stands for the account's own top folder wherever an ID is taken.
const Root ID = "root"

// Fields says what a caller wants to know of an object beside its ID, Name and Folder. What was not asked for is zero.
type Fields uint8

const (
	WithParent     Fields = 1 << iota // Parent
	WithOwner                         // Owner, Mine
	WithSize                          // Size
	WithTimes                         // Created, Modified
	WithSum                           // SHA256
	WithProperties                    // Properties
)

// Object is a file or a folder as this account sees it now. What lies in the trash counts as gone everywhere.
type Object struct {
	ID         ID
	Name       string // any characters, also slashes; not unique
	Folder     bool
	Parent     ID     // "" where this account cannot see the folder
	Owner      string // e-mail address as the store spells it: who created it, for ever
	Mine       bool
	Size       int64
	Created    time.Time // UTC, milliseconds
	Modified   time.Time // UTC, milliseconds
	SHA256     string    // lower-case hexadecimal; "" for a folder
	Properties map[string]string
}

// Spec is an object to make.
type Spec struct {
	ID         ID // from NewIDs, written down by the caller before the Put
	Name       string
	Parent     ID // a folder that this account may write in; "" is Root
	Folder     bool
	Type       string // media type of a file; "" is application/octet-stream
	Modified   time.Time
	Properties map[string]string
}

// Body is the content of a file. Open may be called several times and gives exactly Size bytes, each time the same.
type Body struct {
	Size int64
	Open func() (io.ReadCloser, error)
}

// Bytes is a Body of b, which must not change any more.
func Bytes(b []byte) Body {
	return Body{Size: int64(len(b)), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// Edit is what Update changes; zero fields stay as they are.
type Edit struct {
	Name       string
	Modified   time.Time
	Properties map[string]string // keys not named stay; a key with the value "" is removed
	Body       *Body             // the new content
	Type       string            // media type of Body
}

// Whose narrows a Query by owner.
type Whose uint8

const (
	Anyones Whose = iota
	Mine          // owned by this account
	Others        // not owned by this account
	Shared        // not owned by this account, and shared with it directly, not through a folder
)

// Order is the order of a list.
type Order uint8

const (
	Unordered Order = iota
	NameUp          // names ascending; how case and punctuation compare is the store's business
	NameDown
)

// Query selects objects; every condition that is not zero must hold. Names are compared byte for byte.
type Query struct {
	Parent   ID     // direct children of this folder
	Name     string // exactly this name
	Prefix   string // names that begin so
	Owner    string // e-mail address of the owner
	Whose    Whose
	Folders  bool // only folders
	Files    bool // only files
	Want     Fields
	Order    Order
	PageSize int // objects a page, 1 to 1000; 0 is 1000
}

// Page is one answer of List. It may hold fewer objects than there are, even none, while Next is not "".
type Page struct {
	Objects []Object
	Next    string // for the next call with the same query; "" on the last page
}

// Reader reads objects that the account may read; all others are NotFound.
type Reader interface {
	// Stat gives one object.
	Stat(ctx context.Context, id ID, want Fields) (Object, error)
	// Get opens the content of a file from offset on; at or beyond its end there is nothing to read. A folder is Invalid.
	// An error of the returned reader is an *Error too. A file replaced meanwhile goes on with old or new bytes: Fetch
	// checks the sum.
	Get(ctx context.Context, id ID, offset int64) (io.ReadCloser, error)
	// List gives one page of the objects that q selects. page is "" or Page.Next; one no longer known is TokenLost: begin
	// again (All does).
	List(ctx context.Context, q Query, page string) (Page, error)
}

// Writer makes and changes objects.
type Writer interface {
	// Put makes an object with an id of NewIDs, owned by this account. An id stands for one content: Exists means that it
	// was done before. Until all of body is stored nothing of it is visible, and a Put that failed leaves nothing or
	// everything. body is not looked at for a folder.
	Put(ctx context.Context, s Spec, body Body) error
	// Update changes an object that the account owns or may write. Of two at once the later wins; there is no comparing.
	Update(ctx context.Context, id ID, e Edit) error
	// Move takes an object from one folder to another, both of which the account may write in. The owner stays the same,
	// who reaches it through the old folder no longer does. An object already there is left alone.
	Move(ctx context.Context, id, from, to ID) error
	// Delete removes objects of this account for good, folders with all in them that it owns. Not there is done. Several
	// are removed independently of each other, and the error joins one for each that failed, with its ID.
	Delete(ctx context.Context, ids ...ID) error
}

// Store keeps objects.
type Store interface {
	Reader
	Writer
}

// Token is a position in the feed of one account; it does not expire by itself and means nothing to another account.
type Token string

// Change says that something happened to an object; what it is now is in Object. Gone: deleted, in the trash, or no
// longer visible to the account, and then Object may be zero except for its ID.
type Change struct {
	ID     ID
	Gone   bool
	Object Object
}

// Changes is a piece of the feed.
type Changes struct {
	Items []Change // oldest first; several changes of one object may have become one; some come late, or twice
	Next  Token    // to keep once Items are dealt with
	More  bool     // call again with Next at once
}

// Feed tells what changed among all objects that the account can see, its own changes included, in one call however many
// folders are watched. Nothing is lost from it, but what happened may appear seconds or minutes later.
type Feed interface {
	// Start is the position after everything so far.
	Start(ctx context.Context) (Token, error)
	// Since gives what came after t. A token that is not known any more is TokenLost: take a new Start, then list everything.
	Since(ctx context.Context, t Token, want Fields) (Changes, error)
}

// Role is what a Grant allows.
type Role string

const (
	CanRead  Role = "reader"
	CanWrite Role = "writer" // includes making files in a folder, and moving them out
)

// Anyone in a Grant lets everybody read who knows the id; such an object is in nobody's list.
const Anyone = "anyone"

// Grant lets an e-mail address, or Anyone, use an object; for a folder, everything in it.
type Grant struct {
	Who  string
	Role Role
}

// Sharer changes who may use an object that the account owns or may write.
type Sharer interface {
	// Grant gives each of them exactly that role, raising or lowering what they had. The error joins one for each that failed,
	// with Who as its Name.
	Grant(ctx context.Context, id ID, grants ...Grant) error
	// Revoke takes away what who was granted on this very object. Nothing granted is done. What comes from a folder above
	// cannot be taken away below: Permission.
	Revoke(ctx context.Context, id ID, who string) error
	// Grants lists who may use the object beside its owner, by a folder above included. Readers may not ask: Permission.
	Grants(ctx context.Context, id ID) ([]Grant, error)
}

// IDs issues ids.
type IDs interface {
	// NewIDs gives n ids that this account may use in a Put at any later time, also after a restart.
	NewIDs(ctx context.Context, n int) ([]ID, error)
}

// Account says who is signed in.
type Account interface {
	// Whoami is the e-mail address, as the store spells it.
	Whoami(ctx context.Context) (string, error)
}

// Remote is all of it, for one account.
type Remote interface {
	Store
	Feed
	Sharer
	IDs
	Account
}
