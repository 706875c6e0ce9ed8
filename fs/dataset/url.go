package dataset

import (
	"context"
	"fmt"
	iofs "io/fs"
	"path"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
)

const scheme = "syft://"

// URL is the address of p as dataset.yaml and jobs write it. Nothing in it is escaped.
func URL(p datasite.Path) string { return scheme + p.String() }

// ParseURL reads what URL writes: syft://, the address of a datasite, and a path in it.
func ParseURL(s string) (datasite.Path, error) {
	rest, ok := strings.CutPrefix(s, scheme)
	if !ok {
		return datasite.Path{}, fmt.Errorf("address %q: it begins with %s: %w", s, scheme, iofs.ErrInvalid)
	}
	p, err := datasite.Parse(rest)
	if err == nil && p.IsRoot() {
		err = iofs.ErrInvalid
	}
	if err != nil {
		return datasite.Path{}, fmt.Errorf("address %q: write %sowner@example.org/path: %w", s, scheme, err)
	}
	return p, nil
}

// Resolve finds what an address names, as the view sees it: in the own datasite, or in a replica what was delivered. A file of a dataset
// of somebody else's that lies in a folder there is found at the top of the replica too, as its owner's client sends it without folders.
// fs.ErrNotExist if it is not here; so it is for a private part of somebody else's, which only an approved job reads, at its owner's.
func Resolve(ctx context.Context, view *guard.View, s string) (datasite.Path, error) {
	p, err := ParseURL(s)
	if err != nil {
		return p, err
	}
	_, err = view.Stat(ctx, p)
	if err == nil {
		return p, nil
	}
	if flat, ok := flattened(p); ok && p.Owner != view.Owner() && gone(err) {
		if _, err := view.Stat(ctx, flat); err == nil {
			return flat, nil
		}
	}
	return datasite.Path{}, fmt.Errorf("address %s: %w", s, err)
}

// flattened is where a file of a mock part lies that came without its folders.
func flattened(p datasite.Path) (datasite.Path, bool) {
	rest, ok := strings.CutPrefix(p.Rel, datasite.PublicDatasetsDir+"/")
	name, inside, deep := strings.Cut(rest, "/")
	if !ok || !deep || !strings.Contains(inside, "/") {
		return p, false
	}
	return datasite.Path{Owner: p.Owner, Rel: datasite.PublicDatasetsDir}.Join(name, path.Base(inside)), true
}

// unreachable names files that the peers' client cannot find by their address: it cuts off what follows "?" and "#".
func unreachable(files []string) (notes []string) {
	for _, f := range files {
		if strings.ContainsAny(f, "?#") {
			notes = append(notes, fmt.Sprintf("The mock %s cannot be opened by a Python client, because of ? or # in its name.", f))
		}
	}
	return notes
}
