package wire

import (
	"io"

	"github.com/openmined/syftfs/perm"
)

// Events is one message by an owner: to its own event log, or to the outbox of a peer.
type Events struct {
	ID      ID
	At      Time // of messages into one folder each later than the one before, see Time.Next
	Owner   perm.User
	Items   []Item   // to be applied in their order; a path may occur more than once
	Refused []*Error // decoding: what was in the message and cannot be used here
}

// Name is the file's name on Drive.
func (e Events) Name() FileName { return FileName{Kind: EventsFile, At: e.At, ID: e.ID.String()} }

// DecodeEvents reads the message that lay under name in owner's event log, or in an outbox folder of owner's datasite. The name's time
// and id count, not those in the message.
func (c Codec) DecodeEvents(r io.Reader, name FileName, owner perm.User) (Events, error) {
	e, err := c.decodeEvents(r, name, owner)
	if err != nil {
		return Events{}, inObject(name.String(), err)
	}
	return e, nil
}

func (c Codec) decodeEvents(r io.Reader, name FileName, owner perm.User) (Events, error) {
	if name.Kind != EventsFile {
		return Events{}, ErrName
	}
	e := Events{At: name.At, Owner: owner}
	var err error
	if e.ID, err = ParseID(name.ID); err != nil {
		return Events{}, err
	}
	body, err := c.unpack(r)
	if err != nil {
		return Events{}, err
	}
	found := false
	err = document(body, c.Limits.filled().Depth, func(s *scanner) error {
		return s.object(func(key string) (err error) {
			if key != "events" {
				return s.skip()
			}
			found = true
			e.Items, e.Refused, err = c.events(s, owner, name.String())
			return err
		})
	})
	if err == nil && !found {
		err = missing("events")
	}
	return e, err
}

// EncodeEvents writes e as it lies on Drive. Where files and folders change places, deletions must come first.
func (c Codec) EncodeEvents(e Events) ([]byte, error) {
	body, err := c.printMessage(e)
	if err == nil {
		body, err = c.pack(body)
	}
	if err != nil {
		return nil, inObject("events", err)
	}
	return body, nil
}

func (c Codec) printMessage(e Events) ([]byte, error) {
	if len(e.Items) == 0 {
		return nil, inField("events", unsendablef("there are none"))
	}
	if e.ID == (ID{}) {
		return nil, inField("message_filepath.id", unsendablef("none"))
	}
	if err := sendableTime(e.At); err != nil {
		return nil, inField("message_filepath.timestamp", err)
	}
	p := printer{style: compact}
	p.open('{')
	if err := c.printEvents(&p, e.Items, e.Owner); err != nil {
		return nil, err
	}
	p.key("message_filepath")
	p.open('{')
	p.key("id")
	p.text(e.ID.String())
	p.key("timestamp")
	p.time(e.At)
	p.key("extension")
	p.text(archiveExt)
	p.close('}')
	p.close('}')
	return p.b, nil
}
