package journal

import (
	"bytes"
	"context"

	"github.com/openmined/syftfs/fs/datasite"
	"go.etcd.io/bbolt"
)

// remember does to the stored known states what c did to the tree. A write sets After; a removal drops the path and
// everything below it; a rename moves both, over what was there; a folder that was placed as a whole drops what was known
// of an earlier one. In all of them a non-zero After is then set for Path.
func remember(b *bbolt.Bucket, c datasite.Change) error {
	key := c.Path.String()
	switch c.Op {
	case datasite.OpWrite:
		if c.After == (datasite.Known{}) {
			return b.Delete([]byte(key))
		}
	case datasite.OpRemove, datasite.OpPlace, datasite.OpSubmit:
		if err := drop(b, key, nil); err != nil {
			return err
		}
	case datasite.OpRename:
		type pair struct{ key, value []byte }
		var moving []pair
		from := c.From.String()
		err := drop(b, from, func(k, v []byte) {
			moving = append(moving, pair{append([]byte(key), k[len(from):]...), bytes.Clone(v)})
		})
		if err != nil {
			return err
		}
		if err := drop(b, key, nil); err != nil {
			return err
		}
		for _, m := range moving {
			if err := b.Put(m.key, m.value); err != nil {
				return err
			}
		}
	}
	if c.After == (datasite.Known{}) {
		return nil
	}
	return b.Put([]byte(key), appendKnown(nil, c.After))
}

// drop deletes key and everything below it; fn, which may be nil, is shown each first.
func drop(b *bbolt.Bucket, key string, fn func(k, v []byte)) error {
	var doomed [][]byte // a bbolt cursor skips entries when it deletes
	note := func(k, v []byte) {
		if fn != nil {
			fn(k, v)
		}
		doomed = append(doomed, bytes.Clone(k))
	}
	if v := b.Get([]byte(key)); v != nil {
		note([]byte(key), v)
	}
	below := []byte(key + "/")
	c := b.Cursor()
	for k, v := c.Seek(below); bytes.HasPrefix(k, below); k, v = c.Next() {
		note(k, v)
	}
	for _, k := range doomed {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// Known is what was last recorded about a file, with what is only queued; false if nothing is.
func (j *Journal) Known(p datasite.Path) (datasite.Known, bool) {
	k, err := j.known(p.String())
	return k, err == nil && k != (datasite.Known{})
}

func (j *Journal) known(key string) (datasite.Known, error) {
	if key == "" {
		return datasite.Known{}, nil
	}
	j.mu.RLock()
	unlock := j.mu.RUnlock
	k, answered, key := j.queued.over.find(key)
	if answered {
		unlock()
		return k, nil
	}
	// The transaction is begun under the lock, so that it is either before or after the flying batch; which, its last
	// sequence number tells.
	tx, err := j.db.Begin(false)
	if err != nil {
		unlock()
		return datasite.Known{}, err
	}
	defer tx.Rollback()
	if f := j.flying; f != nil && len(f.items) > 0 && lastSeq(tx) < f.last {
		k, answered, key = f.over.find(key)
	}
	unlock()
	if answered {
		return k, nil
	}
	v := tx.Bucket(knownBucket).Get([]byte(key))
	if v == nil {
		return datasite.Known{}, nil
	}
	return decodeKnown(v)
}

// EachKnown calls fn for everything recorded at under and below it, in the order of the paths as bytes, until fn fails. What is
// queued when it is called is included. fn may call the journal; what changes meanwhile may be missed or shown.
func (j *Journal) EachKnown(under datasite.Path, fn func(datasite.Path, datasite.Known) error) error {
	if err := j.Flush(context.Background()); err != nil {
		return err
	}
	type pair struct {
		path  datasite.Path
		known datasite.Known
	}
	const chunk = 512 // no transaction is open while fn runs: one that stays open keeps the file from growing
	key := under.String()
	below := key + "/"
	if under.IsRoot() {
		below = ""
	} else if k, err := j.known(key); err != nil {
		return err
	} else if k != (datasite.Known{}) {
		if err := fn(under, k); err != nil {
			return err
		}
	}
	for next := []byte(below); next != nil; {
		var found []pair
		err := j.db.View(func(tx *bbolt.Tx) error {
			c := tx.Bucket(knownBucket).Cursor()
			k, v := c.Seek(next)
			for ; len(found) < chunk && k != nil && bytes.HasPrefix(k, []byte(below)); k, v = c.Next() {
				known, err := decodeKnown(v)
				if err != nil {
					return err
				}
				p, err := parseKey(string(k))
				if err != nil {
					return err
				}
				found = append(found, pair{p, known})
			}
			if next = nil; k != nil && bytes.HasPrefix(k, []byte(below)) {
				next = bytes.Clone(k)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, f := range found {
			if j.pending() {
				k, err := j.known(f.path.String())
				if err != nil {
					return err
				}
				if k == (datasite.Known{}) {
					continue
				}
				f.known = k
			}
			if err := fn(f.path, f.known); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *Journal) pending() bool {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return len(j.queued.items) > 0 || j.flying != nil
}
