package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"
)

// collectionDigits is how many digits of the hash stand in the folder's name.
const collectionDigits = 12

// CollectionHash makes the hash in the name of a collection's folder, from its files in ascending order of name. Make one with
// NewCollectionHash.
type CollectionHash struct {
	sum  hash.Hash
	last string
	any  bool
}

// NewCollectionHash is the hash of a collection without files.
func NewCollectionHash() *CollectionHash { return &CollectionHash{sum: sha256.New()} }

// Add takes the next file: its name on Drive and its content, which is read to the end. Names must ascend (as Go compares strings).
func (h *CollectionHash) Add(name string, content io.Reader) error {
	if h.any && name <= h.last {
		return fmt.Errorf("file %s of a collection after %s: %w", quote(name), quote(h.last), ErrDuplicate)
	}
	h.last, h.any = name, true
	io.WriteString(h.sum, name) // a hash never fails
	if _, err := io.Copy(h.sum, content); err != nil {
		return fmt.Errorf("file %s of a collection: %w", quote(name), err)
	}
	return nil
}

// Sum is the hash as FolderName.Hash has it.
func (h *CollectionHash) Sum() string { return hex.EncodeToString(h.sum.Sum(nil))[:collectionDigits] }

// CollectionPath gives the place, relative to the dataset's folder, of a file that lies in a collection of a client of version v under
// this name. syft-client keeps base names only; its successors write the path with "%2F" for "/". Odd names are refused: ErrPath.
func CollectionPath(name string, v Version) (string, error) {
	rel := name
	if v.atLeast(successor) {
		rel = strings.NewReplacer("%2F", "/", "%2f", "/").Replace(name)
	}
	if err := (Codec{}).checkRel(rel); err != nil {
		return "", &Error{Object: "file " + quote(name) + " of a collection", Err: err}
	}
	return rel, nil
}
