package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"iter"
)

// All walks all pages of q. After an error it ends. When a page token is lost it begins again once, without giving an
// object twice.
func All(ctx context.Context, r Reader, q Query) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		seen := map[ID]bool{}
		again := false
		for page := ""; ; {
			p, err := r.List(ctx, q, page)
			if errors.Is(err, TokenLost) && page != "" && !again {
				again, page = true, ""
				continue
			}
			if err != nil {
				yield(Object{}, err)
				return
			}
			for _, o := range p.Objects {
				if seen[o.ID] {
					continue
				}
				seen[o.ID] = true
				if !yield(o, nil) {
					return
				}
			}
			if page = p.Next; page == "" {
				return
			}
		}
	}
}

// Collect is All as a slice.
func Collect(ctx context.Context, r Reader, q Query) ([]Object, error) {
	var found []Object
	for o, err := range All(ctx, r, q) {
		if err != nil {
			return nil, err
		}
		found = append(found, o)
	}
	return found, nil
}

// Fetch copies the content of o to w, at most limit bytes, and checks it against the size and the sum of o, of which at
// least the sum must have been asked for. Content that does not fit is Unavailable, as the file may just have been replaced:
// what was written must be thrown away. More than limit is Invalid.
func Fetch(ctx context.Context, r Reader, o Object, limit int64, w io.Writer) error {
	fail := func(kind Kind, remedy string) error {
		return &Error{Op: OpGet, Kind: kind, ID: o.ID, Name: o.Name, Remedy: remedy}
	}
	if o.Folder || o.SHA256 == "" {
		return fail(Invalid, "it has no content that can be checked; its owner has to send it again as a plain file")
	}
	body, err := r.Get(ctx, o.ID, 0)
	if err != nil {
		return err
	}
	defer body.Close() // only read
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(body, limit+1))
	switch {
	case err != nil:
		return err
	case n > limit:
		return fail(Invalid, "it is larger than is taken here; its owner has to send less at once")
	case hex.EncodeToString(sum.Sum(nil)) != o.SHA256:
		return fail(Unavailable, "other bytes arrived than were sent; it is fetched again")
	}
	return nil
}
