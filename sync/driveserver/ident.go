package driveserver

import (
	"crypto/rand"
	"encoding/base64"
	"math/big"
)

// newSecret is n random bytes in URL-safe characters. crypto/rand never fails since Go 1.24.
func newSecret(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// newFileID looks like Drive's: 33 characters that begin with 1.
func newFileID() string { return "1" + newSecret(24) }

// newRootID looks like the id of a My Drive: 19 characters.
func newRootID() string { return "0A" + newSecret(12)[:14] + "PVA" }

// newPermissionID is a decimal number of 20 digits.
func newPermissionID() string {
	low := new(big.Int).Exp(big.NewInt(10), big.NewInt(19), nil)
	n, err := rand.Int(rand.Reader, new(big.Int).Mul(low, big.NewInt(9)))
	if err != nil {
		panic(err) // only if the reader fails, which it never does
	}
	return n.Add(n, low).String()
}
