package wire

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"unicode/utf8"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// Item is what one message says about one file.
type Item struct {
	ID        ID // of the change; an accepted proposal keeps it
	Op        datasite.Op
	Path      datasite.Path
	Before    datasite.Hash // what the sender knew; zero: no file
	After     datasite.Hash // OpWrite: of Content
	Content   []byte        // OpWrite
	Submitted Time          // when the change was made
	Accepted  Time          // when the owner took it; of items in proposals 0
}

// The values of content_type.
const (
	kindText   = "text"
	kindBinary = "binary"
)

// rawItem is one item as it stands in JSON.
type rawItem struct {
	id, path, owner, kind     string
	before, after             string
	content                   []byte
	submitted, accepted       Time
	hasID, hasContent         bool
	hasPath, hasOwner         bool
	hasSubmitted, hasAccepted bool
	deleted                   bool
}

// read takes one item; what has a wrong type makes the whole message unreadable, as for Python.
func (r *rawItem) read(s *scanner) error {
	return s.object(func(key string) (err error) {
		switch key {
		case "id":
			r.id, err = s.text()
			r.hasID = true
		case "path_in_datasite":
			r.path, err = s.text()
			r.hasPath = true
		case "datasite_email":
			r.owner, err = s.text()
			r.hasOwner = true
		case "content_type":
			r.kind, err = optional(s)
		case "old_hash":
			r.before, err = optional(s)
		case "new_hash":
			r.after, err = optional(s)
		case "content":
			if r.content, r.hasContent = nil, !s.null(); r.hasContent {
				r.content, err = s.bytes()
			}
		case "is_deleted":
			r.deleted, err = s.boolean()
		case "submitted_timestamp":
			r.submitted, err = s.time()
			r.hasSubmitted = true
		case "timestamp":
			r.accepted, err = s.time()
			r.hasAccepted = true
		default:
			err = s.skip()
		}
		return err
	})
}

// optional reads text or null, which is "".
func optional(s *scanner) (string, error) {
	if s.null() {
		return "", nil
	}
	return s.text()
}

// missing is the error for a required key that is not there.
func missing(key string) error { return inField(key, formatf("missing")) }

// complete refuses an item without the keys that Python requires. Those of events are more.
func (r *rawItem) complete(event bool) error {
	switch {
	case !r.hasPath:
		return missing("path_in_datasite")
	case !r.hasOwner:
		return missing("datasite_email")
	case !event:
		return nil
	case !r.hasID:
		return missing("id")
	case !r.hasSubmitted:
		return missing("submitted_timestamp")
	case !r.hasAccepted:
		return missing("timestamp")
	}
	return nil
}

// item checks what r says about a file of owner's, and believes none of its hashes.
func (c Codec) item(r *rawItem, owner perm.User) (Item, error) {
	it := Item{Op: datasite.OpWrite, Submitted: r.submitted, Accepted: r.accepted}
	var err error
	if r.hasID {
		if it.ID, err = ParseID(r.id); err != nil {
			return Item{}, inField("id", err)
		}
	}
	if err := speaksFor(r.owner, owner); err != nil {
		return Item{}, inField("datasite_email", err)
	}
	if it.Path, err = c.decodePath(owner, r.path); err != nil {
		return Item{}, inField("path_in_datasite", err)
	}
	if err := it.Before.UnmarshalText([]byte(r.before)); err != nil {
		return Item{}, inField("old_hash", formatf("%s is no hash", quote(r.before)))
	}
	if r.deleted {
		it.Op = datasite.OpRemove
		return it, nil
	}
	if !r.hasContent {
		return Item{}, inField("content", formatf("there is none, and the file is not deleted"))
	}
	it.Content = r.content
	if r.kind == kindBinary {
		raw := make([]byte, base64.StdEncoding.DecodedLen(len(r.content)))
		n, err := base64.StdEncoding.Decode(raw, r.content)
		if err != nil {
			return Item{}, inField("content", formatf("no base64: %v", err))
		}
		it.Content = raw[:n]
	}
	it.After = sha256.Sum256(it.Content)
	if err := agrees(r.after, it.After); err != nil {
		return Item{}, inField("new_hash", err)
	}
	return it, nil
}

// speaksFor refuses an address that is not u's.
func speaksFor(address string, u perm.User) error {
	a, err := ParseAddress(address)
	if err != nil {
		return err
	}
	if a.User() != u {
		return fmt.Errorf("%s, not %s: %w", a, u, ErrForged)
	}
	return nil
}

// agrees compares the hash that was claimed, if one was, with the true one.
func agrees(claimed string, is datasite.Hash) error {
	if claimed == "" {
		return nil
	}
	var h datasite.Hash
	if err := h.UnmarshalText([]byte(claimed)); err != nil {
		return formatf("%s is no hash", quote(claimed))
	}
	if h != is {
		return fmt.Errorf("%s claimed, the content's is %s: %w", h, is, ErrHash)
	}
	return nil
}

// events reads an array of events. One that cannot be used here is put aside, the others are kept: a file name that only its owner's
// system bears must not hold up all else.
func (c Codec) events(s *scanner, owner perm.User, object string) (items []Item, refused []*Error, err error) {
	most := c.Limits.filled().Entries
	err = s.array(func(i int) error {
		if i >= most {
			return fmt.Errorf("more than %d entries: %w", most, ErrLimit)
		}
		var r rawItem
		if err := r.read(s); err != nil {
			return err
		}
		if err := r.complete(true); err != nil {
			return err
		}
		it, err := c.item(&r, owner)
		if err != nil {
			refused = append(refused, refusal(object, "events", i, err))
			return nil
		}
		items = append(items, it)
		return nil
	})
	return items, refused, err
}

// refusal is the error of entry i of an object that is otherwise read.
func refusal(object, field string, i int, err error) *Error {
	e := inField(fmt.Sprintf("%s[%d]", field, i), err)
	e.Object = object
	return e
}

// sendable is an item, checked and with its texts as they are written.
type sendable struct {
	*Item
	path, owner string
	kind        string // of the content; "" for a deletion
}

// sendable refuses whatever a Python client would stumble over.
func (c Codec) sendable(it *Item, owner perm.User, event bool) (sendable, error) {
	out := sendable{Item: it}
	spelled, err := c.spelled(owner)
	if err != nil {
		return out, inField("datasite_email", err)
	}
	out.owner = string(spelled)
	if it.Path.Owner != owner {
		return out, inField("datasite_email", unsendablef("%s is not a file of %s", quote(it.Path.String()), owner))
	}
	if out.path, err = c.encodePath(it.Path); err != nil {
		return out, inField("path_in_datasite", fmt.Errorf("%w: %w", ErrUnsendable, err))
	}
	if it.ID == (ID{}) {
		return out, inField("id", unsendablef("none"))
	}
	if err := sendableTime(it.Submitted); err != nil {
		return out, inField("submitted_timestamp", err)
	}
	if event {
		if err := sendableTime(it.Accepted); err != nil {
			return out, inField("timestamp", err)
		}
	}
	switch it.Op {
	case datasite.OpRemove:
		if it.Content != nil || it.After != (datasite.Hash{}) {
			return out, inField("content", unsendablef("a deletion has none"))
		}
		return out, nil
	case datasite.OpWrite:
	default:
		return out, inField("is_deleted", unsendablef("%s is no change of one file", quote(string(it.Op))))
	}
	if sha256.Sum256(it.Content) != it.After {
		return out, inField("new_hash", unsendablef("it is not that of the content: %v", ErrHash))
	}
	if out.kind = kindBinary; utf8.Valid(it.Content) {
		out.kind = kindText
	}
	return out, nil
}

// fits refuses an item that cannot be done after those before it.
func fits(tree *shape, s sendable) error {
	if err := tree.apply(s.Op, s.path); err != nil {
		return inField("path_in_datasite", fmt.Errorf("%w: %w", ErrUnsendable, err))
	}
	return nil
}

func sendableTime(t Time) error {
	if err := t.check(); err != nil || t == 0 {
		return unsendablef("%v is not a time to send", float64(t))
	}
	return nil
}

func (p *printer) hash(h datasite.Hash) { p.textOrNull(h.String()) }

func (p *printer) content(s sendable) {
	switch s.kind {
	case kindText:
		p.text(string(s.Content))
	case kindBinary:
		p.next()
		p.b = append(p.b, '"')
		p.b = base64.StdEncoding.AppendEncode(p.b, s.Content)
		p.b = append(p.b, '"')
	default:
		p.literal("null")
	}
}

// event writes an item as events, increments and rolling states have it.
func (p *printer) event(s sendable) {
	p.open('{')
	p.key("id")
	p.text(s.ID.String())
	p.key("path_in_datasite")
	p.text(s.path)
	p.key("datasite_email")
	p.text(s.owner)
	p.key("content")
	p.content(s)
	p.key("old_hash")
	p.hash(s.Before)
	p.key("new_hash")
	p.hash(s.After)
	p.key("is_deleted")
	p.boolean(s.Op == datasite.OpRemove)
	p.key("submitted_timestamp")
	p.time(s.Submitted)
	p.key("timestamp")
	p.time(s.Accepted)
	p.key("content_type")
	p.textOrNull(s.kind)
	p.close('}')
}

// printEvents writes the array of items of owner's, in their order.
func (c Codec) printEvents(p *printer, items []Item, owner perm.User) error {
	if most := c.Limits.filled().Entries; len(items) > most {
		return inField("events", fmt.Errorf("%d entries, at most %d: %w", len(items), most, ErrLimit))
	}
	tree := newShape(len(items))
	p.key("events")
	p.open('[')
	for i := range items {
		s, err := c.sendable(&items[i], owner, true)
		if err == nil {
			err = fits(tree, s)
		}
		if err != nil {
			return inField(fmt.Sprintf("events[%d]", i), err)
		}
		p.event(s)
	}
	p.close(']')
	return nil
}
