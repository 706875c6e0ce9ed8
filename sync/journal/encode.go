package journal

import (
	"encoding/binary"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
)

// A change is stored as: a version byte; operation; path and from, each as owner and relative path; before and after;
// subject and account; origin; time. Text is a length and bytes; numbers are varints. The sequence number is the key.
const encodingVersion = 1

const (
	hasHash  = 1 << iota // 32 bytes follow
	hasStamp             // dev, ino, size, mtime, ctime follow
	isRacy
	knownFlags = hasHash | hasStamp | isRacy
)

// maxKey is what one path may take: bbolt's own limit is 32,768.
const maxKey = 16 << 10

func encode(c datasite.Change) ([]byte, error) {
	if err := checkChange(c); err != nil {
		return nil, err
	}
	b := make([]byte, 0, 256)
	b = append(b, encodingVersion)
	for _, s := range []string{string(c.Op), string(c.Path.Owner), c.Path.Rel, string(c.From.Owner), c.From.Rel} {
		b = appendText(b, s)
	}
	b = appendKnown(b, c.Before)
	b = appendKnown(b, c.After)
	for _, s := range []string{string(c.By.Subject), c.By.Account, string(c.Origin)} {
		b = appendText(b, s)
	}
	return appendTime(b, c.At), nil
}

// checkChange refuses what would not come back as it was, or could not be kept as known.
func checkChange(c datasite.Change) error {
	switch c.Op {
	case datasite.OpWrite, datasite.OpRemove, datasite.OpMkdir, datasite.OpSubmit, datasite.OpPlace:
		if c.From != (datasite.Path{}) {
			return fmt.Errorf("change %s of %q has a from path", c.Op, c.Path)
		}
	case datasite.OpRename:
		if err := checkPath(c.From); err != nil {
			return err
		}
	default:
		return fmt.Errorf("change %q of %q: no such operation", c.Op, c.Path)
	}
	return checkPath(c.Path)
}

func checkPath(p datasite.Path) error {
	bad := p.Owner == "" || strings.ContainsAny(string(p.Owner), "/\x00") || len(p.String()) > maxKey || strings.ContainsRune(p.Rel, 0)
	if p.Rel != "" && (path.Clean(p.Rel) != p.Rel || p.Rel[0] == '/' || p.Rel == "." || p.Rel == ".." || strings.HasPrefix(p.Rel, "../")) {
		bad = true
	}
	if bad {
		return fmt.Errorf("path %q in a change: %w", p, datasite.ErrName)
	}
	return nil
}

// parseKey reads the key of a known state, which is a path.
func parseKey(key string) (datasite.Path, error) {
	owner, rel, _ := strings.Cut(key, "/")
	var p datasite.Path
	setText(&p.Owner, owner)
	p.Rel = rel
	if err := checkPath(p); err != nil {
		return datasite.Path{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return p, nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	b = append(b, 1)
	b = binary.AppendVarint(b, t.Unix())
	return binary.AppendUvarint(b, uint64(t.Nanosecond()))
}

func appendKnown(b []byte, k datasite.Known) []byte {
	var flags byte
	if k.Hash != (datasite.Hash{}) {
		flags |= hasHash
	}
	if k.Stamp.Racy {
		flags |= isRacy
	}
	plain := k.Stamp
	plain.Racy = false
	if plain != (datasite.Stamp{}) {
		flags |= hasStamp
	}
	b = append(b, flags)
	if flags&hasHash != 0 {
		b = append(b, k.Hash[:]...)
	}
	if flags&hasStamp != 0 {
		b = binary.AppendUvarint(b, k.Stamp.Dev)
		b = binary.AppendUvarint(b, k.Stamp.Ino)
		b = binary.AppendVarint(b, k.Stamp.Size)
		b = appendTime(b, k.Stamp.MTime)
		b = appendTime(b, k.Stamp.CTime)
	}
	return b
}

// decode reads what encode wrote, and nothing else. Times come back in UTC.
func decode(b []byte) (datasite.Change, error) {
	var c datasite.Change
	d := decoder{b: b}
	if v := d.byte(); d.err == nil && v != encodingVersion {
		d.fail("version %d", v)
	}
	setText(&c.Op, d.text())
	setText(&c.Path.Owner, d.text())
	c.Path.Rel = d.text()
	setText(&c.From.Owner, d.text())
	c.From.Rel = d.text()
	c.Before = d.known()
	c.After = d.known()
	setText(&c.By.Subject, d.text())
	c.By.Account = d.text()
	setText(&c.Origin, d.text())
	c.At = d.time()
	d.end()
	if d.err == nil {
		if err := checkChange(c); err != nil {
			d.err = err
		}
	}
	if d.err != nil {
		return datasite.Change{}, fmt.Errorf("change: %w: %w", ErrCorrupt, d.err)
	}
	return c, nil
}

func decodeKnown(b []byte) (datasite.Known, error) {
	d := decoder{b: b}
	k := d.known()
	d.end()
	if d.err != nil {
		return datasite.Known{}, fmt.Errorf("known state: %w: %w", ErrCorrupt, d.err)
	}
	return k, nil
}

// setText sets any type of text: an address too, without importing the package that defines it.
func setText[T ~string](dst *T, s string) { *dst = T(s) }

// decoder takes values from b until the first error.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
		d.b = nil
	}
}

func (d *decoder) end() {
	if len(d.b) > 0 {
		d.fail("%d bytes too many", len(d.b))
	}
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail("cut short")
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if v := d.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("bad number")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail("bad number")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) text() string { return string(d.take(d.uvarint())) }

func (d *decoder) time() time.Time {
	switch v := d.byte(); v {
	case 0:
		return time.Time{}
	case 1:
	default:
		d.fail("bad time flag %d", v)
		return time.Time{}
	}
	sec, nsec := d.varint(), d.uvarint()
	if nsec >= 1e9 {
		d.fail("%d nanoseconds", nsec)
		return time.Time{}
	}
	if d.err != nil {
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec)).UTC()
}

func (d *decoder) known() datasite.Known {
	var k datasite.Known
	flags := d.byte()
	if flags&^byte(knownFlags) != 0 {
		d.fail("bad flags %d", flags)
		return k
	}
	if flags&hasHash != 0 {
		copy(k.Hash[:], d.take(uint64(len(k.Hash))))
	}
	if flags&hasStamp != 0 {
		k.Stamp.Dev, k.Stamp.Ino, k.Stamp.Size = d.uvarint(), d.uvarint(), d.varint()
		k.Stamp.MTime, k.Stamp.CTime = d.time(), d.time()
	}
	k.Stamp.Racy = flags&isRacy != 0
	return k
}
