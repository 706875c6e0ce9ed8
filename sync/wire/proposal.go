package wire

import (
	"fmt"
	"io"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// Proposal is one message from a scientist to an owner.
type Proposal struct {
	ID        ID // not used by anybody
	UID       string
	Submitted Time
	Sender    perm.User
	Owner     perm.User
	Items     []Item
}

// Name is the file's name on Drive.
func (p Proposal) Name() FileName {
	return FileName{Kind: ProposalFile, At: p.Submitted, ID: p.UID}
}

// DecodeProposal reads the proposal that lay under name in sender's inbox folder for owner. It is taken as a whole or refused as a whole.
// The name's time and id count, not those in the message. A change without id gets one that is the same at every reading.
// What it proposes for paths that are not replicated is in it: the caller drops those.
func (c Codec) DecodeProposal(r io.Reader, name FileName, sender, owner perm.User) (Proposal, error) {
	p, err := c.decodeProposal(r, name, sender, owner)
	if err != nil {
		return Proposal{}, inObject(name.String(), err)
	}
	return p, nil
}

func (c Codec) decodeProposal(r io.Reader, name FileName, sender, owner perm.User) (Proposal, error) {
	if name.Kind != ProposalFile {
		return Proposal{}, ErrName
	}
	body, err := c.unpack(r)
	if err != nil {
		return Proposal{}, err
	}
	p := Proposal{UID: name.ID, Submitted: name.At, Sender: sender, Owner: owner}
	var from string
	var raw []rawItem
	hasFrom, hasItems := false, false
	l := c.Limits.filled()
	err = document(body, l.Depth, func(s *scanner) error {
		return s.object(func(key string) (err error) {
			switch key {
			case "id":
				var id string
				if id, err = s.text(); err == nil {
					p.ID, err = ParseID(id)
				}
			case "sender_email":
				from, err = s.text()
				hasFrom = true
			case "proposed_file_changes":
				raw, err = readProposed(s, l.Entries)
				hasItems = true
			default:
				err = s.skip()
			}
			return err
		})
	})
	switch {
	case err != nil:
		return Proposal{}, err
	case !hasFrom:
		return Proposal{}, missing("sender_email")
	case !hasItems:
		return Proposal{}, missing("proposed_file_changes")
	}
	if err := speaksFor(from, sender); err != nil {
		return Proposal{}, inField("sender_email", err)
	}
	p.Items, err = c.proposed(raw, name, owner)
	return p, err
}

func readProposed(s *scanner, most int) (raw []rawItem, err error) {
	err = s.array(func(i int) error {
		if i >= most {
			return fmt.Errorf("more than %d entries: %w", most, ErrLimit)
		}
		var r rawItem
		if err := r.read(s); err != nil {
			return err
		}
		raw = append(raw, r)
		return r.complete(false)
	})
	return raw, err
}

// proposed checks the changes one by one, and that all of them together can be done.
func (c Codec) proposed(raw []rawItem, name FileName, owner perm.User) ([]Item, error) {
	items := make([]Item, 0, len(raw))
	seen := make(map[string]int, len(raw))
	tree := newShape(len(raw))
	for i := range raw {
		it, err := c.item(&raw[i], owner)
		if err != nil {
			return nil, inField(fmt.Sprintf("proposed_file_changes[%d]", i), err)
		}
		it.Accepted = 0
		if it.ID == (ID{}) {
			it.ID = derivedID(name.String(), i)
		}
		if !raw[i].hasSubmitted {
			it.Submitted = name.At
		}
		if at, twice := seen[it.Path.Rel]; twice {
			// Python's scientist sends a file twice if it was saved twice before sending; the content is then the same.
			if first := items[at]; first.Op != it.Op || first.Before != it.Before || first.After != it.After {
				return nil, inField(fmt.Sprintf("proposed_file_changes[%d].path_in_datasite", i), fmt.Errorf("%s: %w", quote(it.Path.Rel), ErrDuplicate))
			}
			continue
		}
		seen[it.Path.Rel] = len(items)
		if err := tree.apply(it.Op, it.Path.Rel); err != nil {
			return nil, inField(fmt.Sprintf("proposed_file_changes[%d].path_in_datasite", i), err)
		}
		items = append(items, it)
	}
	return items, nil
}

// EncodeProposal writes p as it lies on Drive. A Python owner stops for good at whatever it does not expect, so that is refused here with
// ErrUnsendable: deletions unless deletions is set (only for an owner whose version file says syftfs), a path twice, a file in a
// file's place, an empty message. That Before is what the owner has is the caller's to see to.
func (c Codec) EncodeProposal(p Proposal, deletions bool) ([]byte, error) {
	body, err := c.printProposal(p, deletions)
	if err == nil {
		body, err = c.pack(body)
	}
	if err != nil {
		return nil, inObject("proposal", err)
	}
	return body, nil
}

func (c Codec) printProposal(p Proposal, deletions bool) ([]byte, error) {
	sender, err := c.spelled(p.Sender)
	if err != nil {
		return nil, inField("sender_email", err)
	}
	if id, err := ParseID(p.UID); err != nil || id.String() != p.UID {
		return nil, inField("message_filename.uid", unsendablef("%s is no canonical UUID", quote(p.UID)))
	}
	if err := sendableTime(p.Submitted); err != nil {
		return nil, inField("message_filename.submitted_timestamp", err)
	}
	if p.ID == (ID{}) {
		return nil, inField("id", unsendablef("none"))
	}
	const field = "proposed_file_changes"
	if most := c.Limits.filled().Entries; len(p.Items) > most {
		return nil, inField(field, fmt.Errorf("%d entries, at most %d: %w", len(p.Items), most, ErrLimit))
	}
	if len(p.Items) == 0 {
		return nil, inField(field, unsendablef("nothing is proposed"))
	}
	out := printer{style: indented}
	out.open('{')
	out.key("id")
	out.text(p.ID.String())
	out.key("sender_email")
	out.text(string(sender))
	out.key("message_filename")
	out.open('{')
	out.key("submitted_timestamp")
	out.time(p.Submitted)
	out.key("uid")
	out.text(p.UID)
	out.close('}')
	out.key(field)
	out.open('[')
	tree := newShape(len(p.Items))
	seen := make(map[string]bool, len(p.Items))
	for i := range p.Items {
		s, err := c.sendable(&p.Items[i], p.Owner, false)
		switch {
		case err != nil:
		case s.Op == datasite.OpRemove && !deletions:
			err = inField("is_deleted", unsendablef("a Python owner cannot take a deletion"))
		case seen[s.path]:
			err = inField("path_in_datasite", unsendablef("%s: %v", quote(s.path), ErrDuplicate))
		default:
			err = fits(tree, s)
		}
		if err != nil {
			return nil, inField(fmt.Sprintf("%s[%d]", field, i), err)
		}
		seen[s.path] = true
		out.proposed(s)
	}
	out.close(']')
	out.close('}')
	return out.b, nil
}

// proposed writes an item as proposals have it.
func (p *printer) proposed(s sendable) {
	p.open('{')
	p.key("id")
	p.text(s.ID.String())
	p.key("old_hash")
	p.hash(s.Before)
	p.key("new_hash")
	p.hash(s.After)
	p.key("submitted_timestamp")
	p.time(s.Submitted)
	p.key("path_in_datasite")
	p.text(s.path)
	p.key("content")
	p.content(s)
	p.key("datasite_email")
	p.text(s.owner)
	p.key("is_deleted")
	p.boolean(s.Op == datasite.OpRemove)
	p.key("content_type")
	p.textOrNull(s.kind)
	p.close('}')
}
