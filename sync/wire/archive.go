package wire

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

const (
	// memberName is the one file of every archive, whatever it holds.
	memberName = "proposed_file_changes.json"
	// maxMembers is how many others are passed over.
	maxMembers = 64
	// tarRecord is what Python's tar archives are padded to.
	tarRecord = 10240
)

// magicSize is how many bytes Envelope looks at.
const magicSize = 4

// Envelope reports whether something that begins with head is encrypted by a syft-client with encryption on, and in which
// generation of that format: "SYC1" or "SYC2". Neither is supported.
func Envelope(head []byte) (generation string, ok bool) {
	if len(head) < magicSize {
		return "", false
	}
	switch g := string(head[:magicSize]); g {
	case "SYC1", "SYC2":
		return g, true
	}
	return "", false
}

// unpack reads the member of a packed archive.
func (c Codec) unpack(r io.Reader) ([]byte, error) {
	l := c.Limits.filled()
	packed := bufio.NewReader(&limited{r: source{r}, left: l.Packed, what: "packed bytes"})
	head, err := packed.Peek(magicSize)
	if err != nil && err != io.EOF {
		return nil, broken("archive", err)
	}
	if g, ok := Envelope(head); ok {
		return nil, fmt.Errorf("%s envelope: %w", g, ErrEncrypted)
	}
	zip, err := newStreams(packed)
	if err != nil {
		return nil, broken("gzip", err)
	}
	plain := &limited{r: zip, left: l.Unpacked, what: "unpacked bytes"}
	body, err := member(plain, l.Unpacked)
	if err != nil {
		return nil, err
	}
	// What follows in the archive does not matter, but the check sum of the stream stands at its end.
	if _, err := io.Copy(io.Discard, plain); err != nil {
		return nil, broken("gzip", err)
	}
	return body, nil
}

// member finds the one member; if its name occurs twice, the last counts.
func member(r io.Reader, most int64) ([]byte, error) {
	archive := tar.NewReader(r)
	var body []byte
	found := false
	for n := 0; ; n++ {
		h, err := archive.Next()
		switch {
		case err == io.EOF:
			if !found {
				return nil, formatf("the archive has no member %s", memberName)
			}
			return body, nil
		case err != nil:
			return nil, broken("tar", err)
		case n > maxMembers:
			return nil, fmt.Errorf("more than %d members in the archive: %w", maxMembers, ErrLimit)
		}
		switch h.Typeflag {
		case tar.TypeReg, tar.TypeGNUSparse:
		case tar.TypeDir, tar.TypeXGlobalHeader:
			continue
		default:
			return nil, formatf("member %s of the archive is a link or a device (type %q)", quote(h.Name), h.Typeflag)
		}
		if h.Name != memberName {
			continue
		}
		if h.Size > most { // a sparse file is large without any bytes
			return nil, fmt.Errorf("member of %d bytes, at most %d are accepted: %w", h.Size, most, ErrLimit)
		}
		var b bytes.Buffer // the size is a claim: memory grows with what is there
		if _, err := b.ReadFrom(archive); err != nil {
			return nil, broken("tar", err)
		}
		body, found = b.Bytes(), true
	}
}

// broken is the error for an archive that cannot be read, unless it is its source that failed.
func broken(layer string, err error) error {
	if failed, ok := errors.AsType[*sourceError](err); ok {
		return failed.err
	}
	if errors.Is(err, ErrLimit) {
		return err
	}
	return fmt.Errorf("%s: %w: %w", layer, err, ErrFormat)
}

// source marks the errors of the reader that the caller gave.
type source struct{ r io.Reader }

type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }

func (s source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		err = &sourceError{err}
	}
	return n, err
}

// streams reads the gzip streams that stand one after the other, and ends where none begins: what follows is ignored, as Python does.
type streams struct {
	zip  *gzip.Reader
	src  *bufio.Reader
	done bool
}

func newStreams(src *bufio.Reader) (*streams, error) {
	zip, err := gzip.NewReader(src)
	if err != nil {
		return nil, err
	}
	zip.Multistream(false)
	return &streams{zip: zip, src: src}, nil
}

func (s *streams) Read(p []byte) (int, error) {
	if s.done {
		return 0, io.EOF
	}
	n, err := s.zip.Read(p)
	if err != io.EOF {
		return n, err
	}
	if err := s.zip.Reset(s.src); err != nil {
		if _, failed := errors.AsType[*sourceError](err); failed || errors.Is(err, ErrLimit) {
			return n, err
		}
		s.done = true
		return n, io.EOF
	}
	s.zip.Multistream(false)
	return n, nil
}

// limited fails once more than left bytes were read: the end of the source must come before.
type limited struct {
	r    io.Reader
	left int64
	what string
}

func (l *limited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if int64(n) > l.left {
		return int(l.left), fmt.Errorf("too many %s: %w", l.what, ErrLimit)
	}
	l.left -= int64(n)
	return n, err
}

// pack makes the archive of one member. The same body gives the same bytes.
func (c Codec) pack(body []byte) ([]byte, error) {
	l := c.Limits.filled()
	if int64(len(body))+2*tarRecord > l.Unpacked {
		return nil, fmt.Errorf("%d bytes of JSON: %w", len(body), ErrLimit)
	}
	var out bytes.Buffer
	zip, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	archive := tar.NewWriter(zip)
	err = archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: memberName, Mode: 0o644, Size: int64(len(body)), Format: tar.FormatUSTAR})
	if err != nil {
		return nil, err
	}
	if _, err := archive.Write(body); err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	// One header, the body in blocks, two empty blocks; then Python pads.
	const block = 512
	size := block + (len(body)+block-1)/block*block + 2*block
	if _, err := zip.Write(make([]byte, (tarRecord-size%tarRecord)%tarRecord)); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	if int64(out.Len()) > l.Packed {
		return nil, fmt.Errorf("%d bytes packed: %w", out.Len(), ErrLimit)
	}
	return out.Bytes(), nil
}
