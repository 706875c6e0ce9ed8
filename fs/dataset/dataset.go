// Package dataset keeps a dataset on disk as the peers' client lays it out: a mock part that people may see, a private
// part that only approved jobs read, dataset.yaml and the rules of both. It knows those files and the gate; it must not
// know jobs, Drive or mounts. The composition root and cmd/internal/service may import it.
package dataset

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/grant"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/perm"
)

// The files that a dataset brings along.
const (
	DescriptionFile = "dataset.yaml"
	PrivateFile     = "private_metadata.yaml"
	readmeFile      = "README.md"
)

// The refusals, beside fs.ErrExist and fs.ErrInvalid.
var (
	// ErrExposed: the mock part holds the private one, or a file of it.
	ErrExposed = fmt.Errorf("the mock part would show private data: %w", iofs.ErrInvalid)
	// ErrBroken: dataset.yaml, or private_metadata.yaml, cannot be read.
	ErrBroken = errors.New("its description cannot be read")
)

// New is what a dataset is made of. Mock, Private and Readme are absolute host paths outside the mount, of a file or a
// folder (Readme: a file); what they name is copied.
type New struct {
	Name        string // letters, digits, "_" and "-"
	Summary     string
	Description string // becomes README.md if there is no Readme
	Tags        []string
	Mock        string
	Private     string
	Readme      string
	Location    string   // where the data come from, in words
	Readers     []string // addresses, or "*" or "any"; none: nobody sees the mock part yet
	DataDir     string   // absolute host path of the private folder, for private_metadata.yaml; "" becomes "."
	Backup      Backup   // nil: the private part stays on this machine
}

// Backup keeps copies of private parts elsewhere, for their owner alone: what syft-client calls upload_private.
type Backup interface {
	// Backup says whether the private part of the dataset is kept. The part need not be there yet.
	Backup(ctx context.Context, name string, keep bool) error
}

// Dataset is what is known about one; a copy, safe to keep.
type Dataset struct {
	Name     string
	UID      string
	Owner    perm.User
	Summary  string
	Tags     []string
	Location string
	Created  time.Time
	Updated  time.Time
	Mock     datasite.Path // the folders
	Private  datasite.Path
	Held     bool          // the private part is here
	Readme   datasite.Path // zero: none
	Files    []string      // of the mock part, relative to it, as dataset.yaml lists them
	Readers  []string      // of the mock part, as the rules spell them; only for who may read the rules
	Notes    []string      // what the owner should look at, a sentence each
	Err      error         // List only: ErrBroken, and then nothing but Name, Owner and the folders is known
}

func at(owner perm.User, name string) Dataset {
	site := datasite.Path{Owner: owner}
	return Dataset{Name: name, Owner: owner, Mock: site.Join(datasite.PublicDatasetsDir, name), Private: site.Join(datasite.PrivateDatasetsDir, name)}
}

// checkName wants what every program that meets the name can bear: it becomes a folder, a part of an address and of a
// folder name on Drive.
func checkName(name string) error {
	bad := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '-' }
	switch {
	case name == "":
		return fmt.Errorf("a dataset needs a name: %w", iofs.ErrInvalid)
	case strings.ContainsFunc(name, bad) || name[0] == '-' || len(name) > 100:
		return fmt.Errorf("dataset name %q: use letters, digits, _ and - (not first), 100 bytes at most: %w", name, iofs.ErrInvalid)
	}
	return nil
}

// readersOf gives the canonical forms, each once.
func readersOf(list []string) ([]perm.User, error) {
	var out []perm.User
	for _, s := range list {
		u := grant.Everyone
		if !isEveryone(s) {
			var err error
			if u, err = perm.ParseUser(s); err != nil {
				return nil, fmt.Errorf("reader %w (or give * for everybody)", err)
			}
		}
		if !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	return out, nil
}

// List gives the datasets that the view sees: of the own datasite first, then of the others, each sorted by name.
func List(ctx context.Context, view *guard.View) ([]Dataset, error) {
	sites, err := view.List(ctx, datasite.Path{})
	if err != nil {
		return nil, fmt.Errorf("list datasets: %w", err)
	}
	owners := []perm.User{view.Owner()}
	for _, e := range sites {
		p, err := datasite.Path{}.Child(e.Name)
		if err == nil && e.Mode.IsDir() && p.Owner != view.Owner() {
			owners = append(owners, p.Owner)
		}
	}
	slices.Sort(owners[1:])
	out := []Dataset{}
	for _, owner := range owners {
		entries, err := view.List(ctx, datasite.Path{Owner: owner}.Join(datasite.PublicDatasetsDir))
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list datasets: %w", err)
		}
		slices.SortFunc(entries, func(a, b datasite.Entry) int { return strings.Compare(a.Name, b.Name) })
		for _, e := range entries {
			if !e.Mode.IsDir() {
				continue
			}
			d, err := describe(ctx, view, owner, e.Name)
			switch {
			case errors.Is(err, iofs.ErrNotExist):
				continue // a folder that is no dataset
			case errors.Is(err, ErrBroken):
				d.Err = err
			case err != nil:
				return nil, fmt.Errorf("list datasets: %w", err)
			}
			out = append(out, d)
		}
	}
	return out, nil
}

// Describe gives the dataset of that name in the own datasite; fs.ErrNotExist if there is none, or none for this view.
func Describe(ctx context.Context, view *guard.View, name string) (Dataset, error) {
	return DescribeOf(ctx, view, view.Owner(), name)
}

// DescribeOf is Describe of a dataset of anybody's, as it was delivered.
func DescribeOf(ctx context.Context, view *guard.View, owner perm.User, name string) (Dataset, error) {
	if err := datasite.CheckName(name); err != nil {
		return Dataset{}, fmt.Errorf("dataset: %w", err)
	}
	d, err := describe(ctx, view, owner, name)
	if err != nil {
		return Dataset{}, fmt.Errorf("dataset %s: %w", name, err)
	}
	return d, nil
}

func describe(ctx context.Context, view *guard.View, owner perm.User, name string) (Dataset, error) {
	d := at(owner, name)
	file := d.Mock.Join(DescriptionFile)
	st, err := view.Stat(ctx, file)
	if gone(err) {
		return d, iofs.ErrNotExist
	}
	if err != nil {
		return d, err
	}
	const limit = 1 << 20
	if !st.Mode.IsRegular() || st.Stamp.Size > limit {
		return d, fmt.Errorf("%s is not a file of at most %d bytes: %w", file, limit, ErrBroken)
	}
	text, err := view.ReadFile(ctx, file)
	if err != nil {
		return d, err
	}
	if err := d.parse(text); err != nil {
		return at(owner, name), fmt.Errorf("%s: %w: %w", file, ErrBroken, err)
	}
	if st, err := view.Stat(ctx, d.Private); err == nil {
		d.Held = st.Mode.IsDir()
	} else if !gone(err) {
		return d, err
	}
	if owner != view.Owner() {
		return d, nil
	}
	d.Readers, err = grant.New(view).Readers(ctx, file, false)
	switch {
	case errors.Is(err, iofs.ErrPermission):
		d.Readers = nil
	case err != nil:
		d.Notes = append(d.Notes, fmt.Sprintf("Who may read it cannot be told: %v", err))
	}
	return d, nil
}

// gone reports that nothing is there, for this view.
func gone(err error) bool {
	return errors.Is(err, iofs.ErrNotExist) || errors.Is(err, iofs.ErrPermission) || errors.Is(err, syscall.ENOTDIR)
}
