package collection

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// key names a dataset: an own one, or with Owner a peer's.
type key struct {
	Owner perm.User `json:"owner,omitempty"`
	Name  string    `json:"name"`
}

func (k key) String() string {
	if k.Owner == "" {
		return k.Name
	}
	return string(k.Owner) + "/" + k.Name
}

// in is the key in a bucket. No name and no address holds a NUL.
func (k key) in() string { return string(k.Owner) + "\x00" + k.Name }

func parseKey(s string) key {
	owner, name, _ := strings.Cut(s, "\x00")
	return key{Owner: perm.User(owner), Name: name}
}

// mark says that a dataset has to be looked at.
type mark struct {
	Gen     uint64 `json:"gen"`               // rises with every reason
	Content bool   `json:"content,omitempty"` // also its files
}

type noted struct {
	Key key
	mark
}

// owned is what is known about an own dataset.
type owned struct {
	Public  part        `json:"public"`
	Private part        `json:"private"`
	Backup  bool        `json:"backup,omitempty"`  // the private part is to be kept on Drive, too
	Dropped bool        `json:"dropped,omitempty"` // it was deleted on purpose: nothing holds up its end on Drive
	Readers []perm.User `json:"readers,omitempty"` // who was a reader on both sides when they were last compared
	Any     bool        `json:"any,omitempty"`     // so was everybody
	Notes   []string    `json:"notes,omitempty"`
	Odd     []string    `json:"odd,omitempty"`    // notes about who may read it
	Strays  []string    `json:"strays,omitempty"` // notes about collections that were made elsewhere
}

// part is one collection of an own dataset, through its versions.
type part struct {
	Now  *copied     `json:"now,omitempty"`  // complete, and shared with its readers
	Next *copied     `json:"next,omitempty"` // being made; its files are in fileBucket
	Old  []remote.ID `json:"old,omitempty"`  // to be deleted
	Back bool        `json:"back,omitempty"` // it is being brought back: what is here is not all
}

// copied is a collection on Drive.
type copied struct {
	ID    remote.ID `json:"id"`
	Hash  string    `json:"hash"`  // in its name
	Local string    `json:"local"` // survey.print of the files here that it stands for
	Files int       `json:"files"`
}

func (p *part) empty() bool { return p.Now == nil && p.Next == nil && len(p.Old) == 0 && !p.Back }

// retire makes all that lies on Drive old.
func (p *part) retire() {
	for _, c := range []*copied{p.Now, p.Next} {
		if c != nil {
			p.Old = append(p.Old, c.ID)
		}
	}
	p.Now, p.Next, p.Back = nil, nil, false
}

func (o *owned) empty() bool {
	return o.Public.empty() && o.Private.empty() && !o.Backup && len(o.Notes) == 0
}

// planned is a file of a collection that is being made.
type planned struct {
	ID   remote.ID     `json:"id"`
	Path datasite.Path `json:"path"`
	Hash datasite.Hash `json:"hash"`
	Size int64         `json:"size"`
}

// offered is a collection that was seen on Drive.
type offered struct {
	Kind  wire.FolderKind `json:"kind"`
	Owner perm.User       `json:"owner,omitempty"` // of the folder; "" is this account
	Tag   string          `json:"tag"`
	Hash  string          `json:"hash"`
	At    time.Time       `json:"at"` // when it was last changed
}

// received is what is known about a dataset of a peer.
type received struct {
	Folder    remote.ID `json:"folder,omitempty"` // the version that lies in the replica; "" none
	Hash      string    `json:"hash,omitempty"`
	Files     int       `json:"files,omitempty"`
	At        time.Time `json:"at,omitzero"` // when it was delivered
	Withdrawn bool      `json:"withdrawn,omitempty"`
	Refused   string    `json:"refused,omitempty"` // print of the listing that was refused
	Why       string    `json:"why,omitempty"`
	Notes     []string  `json:"notes,omitempty"`
}

// markWith notes that k has to be looked at.
func markWith(tx *bbolt.Tx, k key, content bool) error {
	m, _, err := get[mark](tx, markBucket, k.in())
	if err != nil {
		return err
	}
	if m.Gen, err = tx.Bucket(markBucket).NextSequence(); err != nil {
		return err
	}
	m.Content = m.Content || content
	return put(tx, markBucket, k.in(), m)
}

// unmark forgets m unless there were further reasons since.
func unmark(tx *bbolt.Tx, m noted) error {
	now, ok, err := get[mark](tx, markBucket, m.Key.in())
	if err != nil || !ok || now.Gen != m.Gen {
		return err
	}
	return del(tx, markBucket, m.Key.in())
}

// marks lists what is noted: own datasets first.
func (s *store) marks() (list []noted, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		return each(tx, markBucket, "", func(k string, m mark) error {
			list = append(list, noted{parseKey(k), m})
			return nil
		})
	})
	return list, err
}

// wish notes that everything is to be looked for.
func wish(tx *bbolt.Tx) error {
	n, err := tx.Bucket(metaBucket).NextSequence()
	if err != nil {
		return err
	}
	return put(tx, metaBucket, sweepKey, n)
}

func (s *store) sweepDue() (gen uint64, due bool, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		gen, due, err = get[uint64](tx, metaBucket, sweepKey)
		return err
	})
	return gen, due, err
}

// swept forgets the wish unless there was another since.
func (s *store) swept(gen uint64) error {
	return s.update("swept", func(tx *bbolt.Tx) error {
		if now, _, err := get[uint64](tx, metaBucket, sweepKey); err != nil || now != gen {
			return err
		}
		return del(tx, metaBucket, sweepKey)
	})
}

func (s *store) owned(name string) (o owned, ok bool, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		o, ok, err = get[owned](tx, ownBucket, name)
		return err
	})
	return o, ok, err
}

// keep writes the record of an own dataset, or removes it if it says nothing.
func (o *owned) keep(tx *bbolt.Tx, name string) error {
	if o.empty() {
		return del(tx, ownBucket, name)
	}
	return put(tx, ownBucket, name, *o)
}

// offers gives the collections of a dataset that were seen, newest first, with their ids.
func (s *store) offers(bucket []byte, want func(offered) bool) (list []offer, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		return each(tx, bucket, "", func(id string, f offered) error {
			if want(f) {
				list = append(list, offer{remote.ID(id), f})
			}
			return nil
		})
	})
	newestFirst(list)
	return list, err
}

type offer struct {
	ID remote.ID
	offered
}

func (a offer) compare(b offer) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID)) }

func newestFirst(list []offer) { slices.SortFunc(list, offer.compare) }
