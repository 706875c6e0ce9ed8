package wire

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// archive packs members as nobody lawful would.
func archive(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var raw bytes.Buffer
	w := tar.NewWriter(&raw)
	for _, h := range headers {
		content := h.PAXRecords["content"]
		h.PAXRecords = nil
		if h.Typeflag == 0 || h.Typeflag == tar.TypeReg {
			h.Size = int64(len(content))
		} else {
			content = ""
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped(t, raw.Bytes())
}

func file(name, content string) tar.Header {
	return tar.Header{Name: name, Mode: 0o600, PAXRecords: map[string]string{"content": content}}
}

func zipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func plainTar(t testing.TB, packed []byte) []byte {
	t.Helper()
	whole, _, _ := unpacked(t, packed)
	return whole
}

// TestContainers: what Python's reader takes, and what it refuses, and what only we refuse.
func TestContainers(t *testing.T) {
	good := archive(t, file(memberName, "found"))
	small := Codec{Limits: Limits{Packed: 1 << 16, Unpacked: 1 << 16}}
	claimed := plainTar(t, good)[:512]
	copy(claimed[124:136], "20000000000\x00") // 2 GiB in octal
	copy(claimed[148:156], "        ")
	sum := 0
	for _, b := range claimed {
		sum += int(b)
	}
	copy(claimed[148:156], fmt.Sprintf("%06o\x00 ", sum))
	manyMembers := make([]tar.Header, 0, 80)
	for i := range 80 {
		manyMembers = append(manyMembers, file(fmt.Sprint(i), ""))
	}
	broken := bytes.Clone(good)
	broken[len(broken)-6] ^= 1
	lost := errors.New("connection lost")
	for _, tt := range []struct {
		what string
		in   []byte
		want string
		err  error
	}{
		{what: "one member", in: good, want: "found"},
		{what: "the member twice", in: archive(t, file(memberName, "first"), file(memberName, "second")), want: "second"},
		{what: "others around it", in: archive(t, file("a", ""), file(memberName, "found"), file("b", "x")), want: "found"},
		{what: "a folder beside it", in: archive(t, tar.Header{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o755}, file(memberName, "found")), want: "found"},
		{what: "a pax header", in: archive(t, tar.Header{Name: memberName, Format: tar.FormatPAX, Uname: "é", PAXRecords: nil}), want: ""},
		{what: "bytes after the stream", in: append(bytes.Clone(good), "junk"...), want: "found"},
		{what: "many bytes after the stream", in: append(bytes.Clone(good), strings.Repeat("junk", 100)...), want: "found"},
		{what: "without padding and end", in: zipped(t, plainTar(t, good)[:1024]), want: "found"},
		{what: "without end, then junk", in: append(zipped(t, plainTar(t, good)[:1024]), "junk"...), want: "found"},
		{what: "two streams", in: append(zipped(t, plainTar(t, good)[:700]), zipped(t, plainTar(t, good)[700:])...), want: "found"},
		{what: "name with ./", in: archive(t, file("./"+memberName, "x")), err: ErrFormat},
		{what: "no member", in: archive(t), err: ErrFormat},
		{what: "no gzip", in: plainTar(t, good), err: ErrFormat},
		{what: "nothing", in: nil, err: ErrFormat},
		{what: "three bytes", in: []byte("SYC"), err: ErrFormat},
		{what: "cut short", in: good[:len(good)/2], err: ErrFormat},
		{what: "no check sum", in: good[:len(good)-8], err: ErrFormat},
		{what: "wrong check sum", in: broken, err: ErrFormat},
		{what: "no tar", in: zipped(t, []byte(strings.Repeat("x", 2000))), err: ErrFormat},
		{what: "a link in its place", in: archive(t, tar.Header{Typeflag: tar.TypeSymlink, Name: memberName, Linkname: "/etc/passwd"}), err: ErrFormat},
		{what: "a hard link", in: archive(t, file(memberName, "x"), tar.Header{Typeflag: tar.TypeLink, Name: "y", Linkname: memberName}), err: ErrFormat},
		{what: "a device", in: archive(t, tar.Header{Typeflag: tar.TypeChar, Name: "null"}, file(memberName, "x")), err: ErrFormat},
		{what: "a pipe", in: archive(t, tar.Header{Typeflag: tar.TypeFifo, Name: "p"}, file(memberName, "x")), err: ErrFormat},
		{what: "very many members", in: archive(t, manyMembers...), err: ErrLimit},
		{what: "gzip bomb in the member", in: archive(t, file(memberName, strings.Repeat("\x00", 1<<20))), err: ErrLimit},
		{what: "gzip bomb beside the member", in: archive(t, file("a", strings.Repeat("\x00", 1<<20)), file(memberName, "x")), err: ErrLimit},
		{what: "gzip bomb after the end", in: zipped(t, append(plainTar(t, good), make([]byte, 1<<20)...)), err: ErrLimit},
		{what: "2 GiB claimed", in: zipped(t, claimed), err: ErrLimit},
		{what: "more after the stream than may be packed", in: append(bytes.Clone(good), make([]byte, 1<<17)...), want: "found"},
		{what: "envelope", in: []byte("SYC2\x01...."), err: ErrEncrypted},
		{what: "older envelope", in: []byte("SYC1"), err: ErrEncrypted},
	} {
		t.Run(tt.what, func(t *testing.T) {
			got, err := small.unpack(bytes.NewReader(tt.in))
			if !errors.Is(err, tt.err) || tt.err == nil && (err != nil || string(got) != tt.want) {
				t.Fatalf("%q, %v", got, err)
			}
		})
	}
	for _, n := range []int{0, 2, 20, len(good) - 1} {
		_, err := small.unpack(io.MultiReader(bytes.NewReader(good[:n]), iotest.ErrReader(lost)))
		if !errors.Is(err, lost) || errors.Is(err, ErrFormat) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
	if got, err := small.unpack(iotest.OneByteReader(bytes.NewReader(good))); err != nil || string(got) != "found" {
		t.Errorf("byte by byte: %q, %v", got, err)
	}
	noise := make([]byte, 1<<17)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		noise[i] = byte(x)
	}
	if _, err := (Codec{Limits: Limits{Packed: 1 << 16}}).unpack(bytes.NewReader(archive(t, file(memberName, string(noise))))); !errors.Is(err, ErrLimit) {
		t.Errorf("packed: %v", err)
	}
}
