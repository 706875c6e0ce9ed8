package wire

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// ID is a UUID. The zero ID stands for none.
type ID [16]byte

// NewID is a random UUID of version 4.
func NewID() ID {
	var id ID
	rand.Read(id[:]) // never fails
	return id.version4()
}

// ParseID reads the spellings that syft-client reads: canonical, without dashes, in braces, as "urn:uuid:", in any case.
func ParseID(s string) (ID, error) {
	bare := strings.TrimPrefix(s, "urn:uuid:")
	if len(s) > 2 && s[0] == '{' && s[len(s)-1] == '}' {
		bare = s[1 : len(s)-1]
	}
	if len(bare) == 36 && bare[8] == '-' && bare[13] == '-' && bare[18] == '-' && bare[23] == '-' {
		bare = bare[:8] + bare[9:13] + bare[14:18] + bare[19:23] + bare[24:]
	}
	var id ID
	if len(bare) != 32 {
		return ID{}, formatf("%s is no UUID", quote(s))
	}
	if _, err := hex.Decode(id[:], []byte(bare)); err != nil {
		return ID{}, formatf("%s is no UUID", quote(s))
	}
	return id, nil
}

// String is the canonical form, 36 lower-case characters.
func (id ID) String() string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func (id ID) version4() ID {
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// derivedID is the identity of a change that came without one: reading the message again gives it again.
func derivedID(object string, index int) ID {
	sum := sha256.Sum256([]byte(strconv.Itoa(index) + " " + object))
	return ID(sum[:16]).version4()
}
