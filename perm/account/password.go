package account

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// The cost of a password: the second recommendation of RFC 9106.
const (
	hashMemory  = 64 << 10 // KiB
	hashTime    = 3
	hashLanes   = 4
	hashLength  = 32
	saltLength  = 16
	hashAtOnce  = 2 // computations, which bounds memory to 128 MiB
	hashPatient = 5 * time.Second
)

// hash gives the text form of a password's hash, "$argon2id$v=19$m=...$salt$hash". ErrBusy if no turn comes in 5 s.
func (s *Store) hash(ctx context.Context, password string) (string, error) {
	timer := time.NewTimer(hashPatient)
	defer timer.Stop()
	select {
	case s.turns <- struct{}{}:
		defer func() { <-s.turns }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case <-timer.C:
		return "", ErrBusy
	}
	salt := make([]byte, saltLength)
	rand.Read(salt) // never fails: the program ends without randomness
	return phc(password, salt), nil
}

func phc(password string, salt []byte) string {
	sum := argon2.IDKey([]byte(norm.NFC.String(password)), salt, hashTime, hashMemory, hashLanes, hashLength)
	text := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, hashMemory, hashTime, hashLanes, text(salt), text(sum))
}

// newID makes an id that sorts by time: 48 bits of milliseconds and 80 random ones, in 26 characters of Crockford's alphabet.
func newID(prefix string, now time.Time) string {
	var b [20]byte // the last 16 count; four zero bytes before fill the groups of five
	binary.BigEndian.PutUint64(b[2:], uint64(now.UnixMilli()))
	rand.Read(b[10:])
	text := base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").EncodeToString(b[:])
	return prefix + text[len(text)-26:]
}
