package dataset

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	iofs "io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/grant"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/perm"
)

// Create makes a dataset in the own datasite: the private part first, then the mock part with dataset.yaml, each by one
// rename, with rules that let readers read the mock part and nobody the private one. fs.ErrExist if either part is there,
// ErrExposed if the mock part holds private bytes. What makes mock and private part differ is in Notes.
func Create(ctx context.Context, view *guard.View, n New) (Dataset, error) {
	d, err := create(ctx, view, n)
	if err != nil {
		return Dataset{}, fmt.Errorf("make dataset %s: %w", n.Name, err)
	}
	return d, nil
}

func create(ctx context.Context, view *guard.View, n New) (Dataset, error) {
	d := at(view.Owner(), n.Name)
	if err := checkName(n.Name); err != nil {
		return d, err
	}
	readers, err := readersOf(n.Readers)
	if err != nil {
		return d, err
	}
	for what, s := range map[string][]string{"summary": {n.Summary}, "location": {n.Location}, "tag": n.Tags} {
		for _, t := range s {
			if strings.ContainsAny(t, "\n\r\x00") {
				return d, fmt.Errorf("the %s must be one line: %w", what, iofs.ErrInvalid)
			}
		}
	}
	for _, p := range []datasite.Path{d.Private, d.Mock} {
		if err := vacant(ctx, view, p); err != nil {
			return d, err
		}
	}
	mock, err := scan(ctx, "mock", n.Mock)
	if err != nil {
		return d, err
	}
	private, err := scan(ctx, "private", n.Private)
	if err != nil {
		return d, err
	}
	if err := exposed(ctx, mock, private); err != nil {
		return d, err
	}
	if d.Notes, err = differences(mock, private); err != nil {
		return d, err
	}
	d.Files = slices.Sorted(maps.Keys(mock))
	readme, err := n.readme(mock)
	if err != nil {
		return d, err
	}
	if readme != "" {
		d.Readme = d.Mock.Join(readme)
	}
	d.Notes = append(d.Notes, unreachable(d.Files)...)
	d.UID, d.Summary, d.Location, d.Tags, d.Held = newUID(), n.Summary, n.Location, n.Tags, true
	d.Created = time.Now().UTC().Truncate(time.Microsecond)
	d.Updated = d.Created
	dataDir := n.DataDir
	if dataDir == "" {
		dataDir = "."
	}
	mock.say(DescriptionFile, d.description())
	private.say(PrivateFile, d.privateDescription(dataDir))

	if n.Backup != nil {
		// Before the part is there: a crash in between leaves a wish about nothing.
		if err := n.Backup.Backup(ctx, n.Name, true); err != nil {
			return d, err
		}
	}
	if err := d.place(ctx, view, mock, private, readers); err != nil {
		if n.Backup != nil {
			err = errors.Join(err, n.Backup.Backup(context.WithoutCancel(ctx), n.Name, false))
		}
		return d, err
	}
	d.Readers = make([]string, len(readers))
	for i, u := range readers {
		d.Readers[i] = string(u)
	}
	return d, nil
}

func (d *Dataset) place(ctx context.Context, view *guard.View, mock, private part, readers []perm.User) error {
	g := grant.New(view)
	if err := place(ctx, view, g, d.Private, private, []perm.User{view.Owner()}); err != nil {
		return err
	}
	if err := place(ctx, view, g, d.Mock, mock, readers); err != nil {
		// It was copied a moment ago, and without the mock part it is no dataset.
		return errors.Join(err, view.RemoveAll(context.WithoutCancel(ctx), d.Private))
	}
	return nil
}

// vacant wants nothing, or an empty folder, at p.
func vacant(ctx context.Context, view *guard.View, p datasite.Path) error {
	entries, err := view.List(ctx, p)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return fmt.Errorf("%s is there already; choose another name, or remove it first: %w", p, iofs.ErrExist)
	}
	return nil
}

// readme adds the readme to the mock part and gives its name, "" if there is none.
func (n New) readme(mock part) (string, error) {
	if n.Readme == "" {
		if n.Description == "" {
			return "", nil
		}
		if _, ok := mock[readmeFile]; ok {
			return "", fmt.Errorf("the mock part has a %s of its own; leave the description out: %w", readmeFile, iofs.ErrInvalid)
		}
		mock.say(readmeFile, []byte(strings.TrimRight(n.Description, "\n")+"\n"))
		return readmeFile, nil
	}
	name := filepath.Base(n.Readme)
	if !strings.EqualFold(path.Ext(name), ".md") {
		return "", fmt.Errorf("readme %s: the peers' client wants a name that ends in .md: %w", n.Readme, iofs.ErrInvalid)
	}
	one, err := scan(context.Background(), "readme", n.Readme)
	if err != nil {
		return "", err
	}
	s, ok := one[name]
	if _, taken := mock[name]; !ok || len(one) != 1 || taken {
		return "", fmt.Errorf("readme %s: it must be a file, of a name that the mock part does not have: %w", n.Readme, iofs.ErrInvalid)
	}
	mock[name] = s
	return name, nil
}

func (p part) say(name string, body []byte) { p[name] = source{body: body, size: int64(len(body))} }

// place puts a part in place with the rules for it, which are in force before or with the files.
func place(ctx context.Context, view *guard.View, g *grant.Granter, dir datasite.Path, p part, readers []perm.User) error {
	fresh, err := takesRules(ctx, g, dir)
	if err != nil {
		return err
	}
	if fresh {
		p.say(datasite.PubFile, rules(readers))
	} else if err := g.Restrict(ctx, dir, wholePart, readers); err != nil {
		return err
	}
	if err := vacant(ctx, view, dir); err != nil { // again: the copying of another part takes its time
		return err
	}
	return view.Place(ctx, datasite.Change{Op: datasite.OpPlace, Path: dir}, p)
}

// newUID is a random UUID.
func newUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: the program ends without randomness
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
