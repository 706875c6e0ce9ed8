package control

import (
	"context"
	"fmt"
	iofs "io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/virtual"
)

// whyDir holds, for each person, the tree once more: in the place of a file what that person may do with it and why, and in each folder the
// same about the folder, under folderWhy.
const (
	whyDir    = "why"
	folderWhy = ".why"
)

// Explainer explains permissions; the service fits it.
type Explainer interface {
	People() []string
	Knows(who string) bool // whether can be asked about somebody who is not listed
	Look(ctx context.Context, p datasite.Path) (dir bool, err error)
	Names(ctx context.Context, p datasite.Path) (map[string]bool, error)
	Explain(ctx context.Context, who string, p datasite.Path) (string, error)
}

// asked is what a name below why/ asks: about whom, about which path. The zero asked is why/ itself.
type asked struct {
	who  string
	path datasite.Path
	self bool // the folder's own explanation
}

func parseAsked(rel string) (asked, error) {
	rest, ok := strings.CutPrefix(rel, whyDir)
	if !ok || rest != "" && rest[0] != '/' {
		return asked{}, iofs.ErrNotExist
	}
	if rest == "" {
		return asked{}, nil
	}
	who, place, _ := strings.Cut(rest[1:], "/")
	q := asked{who: who}
	if place == "" {
		return q, nil
	}
	if place, q.self = strings.CutSuffix(place, "/"+folderWhy); !q.self && place == folderWhy {
		return asked{}, iofs.ErrNotExist // nothing is to be said about the top
	}
	var err error
	if q.path, err = datasite.Parse(place); err != nil {
		return asked{}, iofs.ErrNotExist
	}
	return q, nil
}

// lookupWhy answers for a name at or below why/.
func (f *Folder) lookupWhy(ctx context.Context, rel string) (virtual.Entry, error) {
	missing := fmt.Errorf("%s/%s: %w", Name, rel, iofs.ErrNotExist)
	q, err := parseAsked(rel)
	if err != nil {
		return virtual.Entry{}, missing
	}
	name := rel[strings.LastIndexByte(rel, '/')+1:]
	dir := true
	if q.who != "" {
		if !f.why.Knows(q.who) {
			return virtual.Entry{}, missing
		}
		if dir, err = f.why.Look(ctx, q.path); err != nil {
			return virtual.Entry{}, err
		}
	}
	return f.whyEntry(name, dir && !q.self), nil
}

func (f *Folder) whyEntry(name string, dir bool) virtual.Entry {
	if dir {
		return virtual.Entry{Name: name, Kind: virtual.Dir, Mode: 0o500, MTime: f.made}
	}
	return virtual.Entry{Name: name, Kind: virtual.Text, Mode: 0o400, MTime: f.now()}
}

func (f *Folder) listWhy(ctx context.Context, rel string) ([]virtual.Entry, error) {
	q, err := parseAsked(rel)
	if err != nil || q.self {
		return nil, fmt.Errorf("%s/%s: %w", Name, rel, iofs.ErrNotExist)
	}
	var entries []virtual.Entry
	if q.who == "" {
		for _, who := range f.why.People() {
			entries = append(entries, f.whyEntry(who, true))
		}
		return entries, nil
	}
	names, err := f.why.Names(ctx, q.path)
	if err != nil {
		return nil, err
	}
	if !q.path.IsRoot() {
		names[folderWhy] = false
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		entries = append(entries, f.whyEntry(name, names[name]))
	}
	return entries, nil
}

func (f *Folder) openWhy(ctx context.Context, rel string) (virtual.Handle, error) {
	e, err := f.lookupWhy(ctx, rel)
	if err != nil {
		return nil, err
	}
	q, err := parseAsked(rel)
	if err != nil {
		return nil, err
	}
	text, err := f.why.Explain(ctx, q.who, q.path)
	if err != nil {
		return nil, err
	}
	return virtual.NewText(e, []byte(service.Visible(text, true)), nil), nil
}
