package wire

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// snapshotVersion is what the three kinds below say in "version".
const snapshotVersion = 1

// Checkpoint is all replicated files of a datasite at one time. It can hold text only.
type Checkpoint struct {
	At      Time
	Owner   perm.User
	Last    Time // of the newest event that is in it; 0: not known
	Files   []File
	Refused []*Error // decoding: what was in it and cannot be used here
}

// File is one file of a checkpoint.
type File struct {
	Path    datasite.Path
	Hash    datasite.Hash
	Content []byte
}

// Increment is what happened since the checkpoint or increment before.
type Increment struct {
	Seq     int // 1 for the first
	At      Time
	Owner   perm.User
	Items   []Item
	Refused []*Error
}

// Rolling is what happened since the last increment, or since Base. It is written over in place, and keeps the name that it was first given.
type Rolling struct {
	At      Time
	Owner   perm.User
	Base    Time // of the checkpoint it builds on; 0: none
	Last    Time // of the newest event that is in it; 0: not known
	Items   []Item
	Refused []*Error
}

// Name is the file's name on Drive.
func (k Checkpoint) Name() FileName { return FileName{Kind: CheckpointFile, At: k.At} }

// Name is the file's name on Drive.
func (n Increment) Name() FileName { return FileName{Kind: IncrementFile, Seq: n.Seq, At: n.At} }

// Name is the file's name on Drive when r is the first of its kind there.
func (r Rolling) Name() FileName { return FileName{Kind: RollingFile, At: r.At} }

// snapshot holds the keys of the three kinds.
type snapshot struct {
	at, base, last Time
	email          string
	files          []File
	items          []Item
	refused        []*Error
	missing        []string // required keys that were not met yet
}

// decodeSnapshot reads the file that lay under name in one of owner's own folders.
func (c Codec) decodeSnapshot(r io.Reader, name FileName, kind FileKind, owner perm.User, required ...string) (snapshot, error) {
	snap := snapshot{at: name.At, missing: append(required, "email")}
	if name.Kind != kind {
		return snap, inObject(name.String(), ErrName)
	}
	body, err := c.unpack(r)
	if err == nil {
		err = document(body, c.Limits.filled().Depth, func(s *scanner) error {
			return s.object(func(key string) error {
				snap.missing = slices.DeleteFunc(snap.missing, func(k string) bool { return k == key })
				return c.snapshotField(&snap, s, key, name, owner)
			})
		})
	}
	if err == nil {
		err = snap.check(owner)
	}
	return snap, inObject(name.String(), err)
}

func (c Codec) snapshotField(snap *snapshot, s *scanner, key string, name FileName, owner perm.User) (err error) {
	switch key {
	case "version":
		var v int
		if v, err = s.integer(maxSeq); err == nil && v > snapshotVersion {
			err = formatf("version %d was made by a newer client", v)
		}
	case "timestamp":
		snap.at, err = s.time()
	case "email":
		snap.email, err = s.text()
	case "last_event_timestamp":
		if snap.last = 0; !s.null() {
			snap.last, err = s.time()
		}
	case "base_checkpoint_timestamp":
		snap.base, err = s.time()
	case "sequence_number":
		_, err = s.integer(maxSeq)
	case "events":
		snap.items, snap.refused, err = c.events(s, owner, name.String())
	case "files":
		snap.files, snap.refused, err = c.files(s, owner, name.String())
	default:
		err = s.skip()
	}
	return err
}

func (snap *snapshot) check(owner perm.User) error {
	if len(snap.missing) > 0 {
		return missing(snap.missing[0])
	}
	if err := speaksFor(snap.email, owner); err != nil {
		return inField("email", err)
	}
	return nil
}

// files reads the files of a checkpoint. Here the content counts: a hash that does not fit it was taken before the file was read.
func (c Codec) files(s *scanner, owner perm.User, object string) (files []File, refused []*Error, err error) {
	most := c.Limits.filled().Entries
	seen := map[string]bool{}
	err = s.array(func(i int) error {
		if i >= most {
			return fmt.Errorf("more than %d entries: %w", most, ErrLimit)
		}
		var where string
		var f File
		hasPath, hasContent := false, false
		err := s.object(func(key string) (err error) {
			switch key {
			case "path":
				where, err = s.text()
				hasPath = true
			case "content":
				f.Content, err = s.bytes()
				hasContent = true
			case "hash":
				_, err = s.text()
			default:
				err = s.skip()
			}
			return err
		})
		switch {
		case err != nil:
			return err
		case !hasPath:
			return missing("path")
		case !hasContent:
			return missing("content")
		}
		f.Path, err = c.decodePath(owner, where)
		if err == nil && seen[f.Path.Rel] {
			err = fmt.Errorf("%s: %w", quote(f.Path.Rel), ErrDuplicate)
		}
		if err != nil {
			refused = append(refused, refusal(object, "files", i, inField("path", err)))
			return nil
		}
		seen[f.Path.Rel] = true
		f.Hash = sha256.Sum256(f.Content)
		files = append(files, f)
		return nil
	})
	return files, refused, err
}

// DecodeCheckpoint reads the full checkpoint that lay under name in owner's checkpoints folder.
func (c Codec) DecodeCheckpoint(r io.Reader, name FileName, owner perm.User) (Checkpoint, error) {
	snap, err := c.decodeSnapshot(r, name, CheckpointFile, owner)
	if err != nil {
		return Checkpoint{}, err
	}
	return Checkpoint{At: name.At, Owner: owner, Last: snap.last, Files: snap.files, Refused: snap.refused}, nil
}

// DecodeIncrement reads the incremental checkpoint that lay under name in owner's checkpoints folder.
func (c Codec) DecodeIncrement(r io.Reader, name FileName, owner perm.User) (Increment, error) {
	snap, err := c.decodeSnapshot(r, name, IncrementFile, owner, "sequence_number")
	if err != nil {
		return Increment{}, err
	}
	return Increment{Seq: name.Seq, At: name.At, Owner: owner, Items: snap.items, Refused: snap.refused}, nil
}

// DecodeRolling reads the rolling state that lay under name in owner's folder for it. Its At is that of the last writing, not the name's.
func (c Codec) DecodeRolling(r io.Reader, name FileName, owner perm.User) (Rolling, error) {
	snap, err := c.decodeSnapshot(r, name, RollingFile, owner, "base_checkpoint_timestamp")
	if err != nil {
		return Rolling{}, err
	}
	return Rolling{At: snap.at, Owner: owner, Base: snap.base, Last: snap.last, Items: snap.items, Refused: snap.refused}, nil
}

// encodeSnapshot writes what the three kinds have in common, and their own by rest.
func (c Codec) encodeSnapshot(object string, at Time, owner perm.User, rest func(*printer) error) ([]byte, error) {
	email, err := c.spelled(owner)
	if err != nil {
		return nil, inObject(object, inField("email", err))
	}
	if err := sendableTime(at); err != nil {
		return nil, inObject(object, inField("timestamp", err))
	}
	p := printer{style: compact}
	p.open('{')
	p.key("version")
	p.integer(snapshotVersion)
	p.key("timestamp")
	p.time(at)
	p.key("email")
	p.text(string(email))
	if err := rest(&p); err != nil {
		return nil, inObject(object, err)
	}
	p.close('}')
	body, err := c.pack(p.b)
	return body, inObject(object, err)
}

// EncodeCheckpoint writes k as it lies on Drive. Content that is not UTF-8 is refused with ErrBinary: no full checkpoint can be made of it.
func (c Codec) EncodeCheckpoint(k Checkpoint) ([]byte, error) {
	return c.encodeSnapshot("checkpoint", k.At, k.Owner, func(p *printer) error {
		if err := p.last(k.Last); err != nil {
			return err
		}
		if most := c.Limits.filled().Entries; len(k.Files) > most {
			return inField("files", fmt.Errorf("%d entries, at most %d: %w", len(k.Files), most, ErrLimit))
		}
		tree := newShape(len(k.Files))
		p.key("files")
		p.open('[')
		for i, f := range k.Files {
			if err := c.printFile(p, tree, f, k.Owner); err != nil {
				return inField(fmt.Sprintf("files[%d]", i), err)
			}
		}
		p.close(']')
		return nil
	})
}

func (c Codec) printFile(p *printer, tree *shape, f File, owner perm.User) error {
	if f.Path.Owner != owner {
		return inField("path", unsendablef("%s is not a file of %s", quote(f.Path.String()), owner))
	}
	rel, err := c.encodePath(f.Path)
	switch {
	case err != nil:
	case tree.files[rel]:
		err = fmt.Errorf("%s: %w", quote(rel), ErrDuplicate)
	default:
		err = tree.write(rel)
	}
	if err != nil {
		return inField("path", fmt.Errorf("%w: %w", ErrUnsendable, err))
	}
	if sha256.Sum256(f.Content) != f.Hash {
		return inField("hash", unsendablef("it is not that of the content: %v", ErrHash))
	}
	if !utf8.Valid(f.Content) {
		return inField("content", fmt.Errorf("%s: %w", quote(rel), ErrBinary))
	}
	p.open('{')
	p.key("path")
	p.text(rel)
	p.key("hash")
	p.text(f.Hash.String())
	p.key("content")
	p.text(string(f.Content))
	p.close('}')
	return nil
}

// EncodeIncrement writes n as it lies on Drive.
func (c Codec) EncodeIncrement(n Increment) ([]byte, error) {
	return c.encodeSnapshot("incremental checkpoint", n.At, n.Owner, func(p *printer) error {
		if n.Seq < 1 || n.Seq > maxSeq {
			return inField("sequence_number", unsendablef("%d", n.Seq))
		}
		p.key("sequence_number")
		p.integer(n.Seq)
		return c.printEvents(p, n.Items, n.Owner)
	})
}

// EncodeRolling writes r as it lies on Drive.
func (c Codec) EncodeRolling(r Rolling) ([]byte, error) {
	return c.encodeSnapshot("rolling state", r.At, r.Owner, func(p *printer) error {
		if err := r.Base.check(); err != nil {
			return inField("base_checkpoint_timestamp", unsendablef("%v", err))
		}
		p.key("base_checkpoint_timestamp")
		p.time(r.Base)
		if err := p.last(r.Last); err != nil {
			return err
		}
		return c.printEvents(p, r.Items, r.Owner)
	})
}

func (p *printer) last(t Time) error {
	if err := t.check(); err != nil {
		return inField("last_event_timestamp", unsendablef("%v", err))
	}
	p.key("last_event_timestamp")
	p.timeOrNull(t)
	return nil
}
