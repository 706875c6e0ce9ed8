package service

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"strings"

	"github.com/openmined/syftfs/fs/dataset"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/perm"
)

// What is looked at to tell what an acceptance gives.
const (
	maxGivenLooked = 20_000 // files and folders
	maxGivenShown  = 100    // places and datasets told one by one
)

// PeerGives is what an acceptance gives, or gave: by the rules as they are, seen as that peer sees them.
type PeerGives struct {
	Address   string         `json:"address"`
	State     PeerState      `json:"state,omitempty"` // "": nothing is known about the address
	Jobs      []GivenFolder  `json:"jobs"`            // the folders for its jobs and for what they answer
	Datasets  []GivenDataset `json:"datasets"`        // whose mock part it may read
	Places    []GivenPlace   `json:"places"`          // of the own datasite, but for its jobs and the datasets
	More      int            `json:"more"`            // places and datasets that are not told one by one
	Looked    int            `json:"looked"`          // at how many files and folders
	Truncated bool           `json:"truncated"`       // there is more than was looked at
	Warning   string         `json:"warning,omitempty"`
	Text      string         `json:"text"`
}

// GivenFolder is a folder that acceptance makes.
type GivenFolder struct {
	Path   string `json:"path"`
	Level  string `json:"level"`
	Exists bool   `json:"exists"` // with rules that stay as they are
}

// GivenDataset is a dataset whose mock part may be read.
type GivenDataset struct {
	Name  string `json:"name"`
	Files int    `json:"files"`
}

// GivenPlace is a file, or a folder with what is below it.
type GivenPlace struct {
	Path  string `json:"path"`
	Level string `json:"level"` // the highest
	Dir   bool   `json:"dir"`
	Files int    `json:"files"` // that are there now
}

// PeerGives tells what an acceptance would give, or what it gave. Nothing is changed.
func (s *Service) PeerGives(ctx context.Context, c Caller, q PeerQuestion) (PeerGives, error) {
	if err := s.admin(c, "asking what peers are given"); err != nil {
		return PeerGives{}, err
	}
	u, err := s.elsewhere(q.Address)
	if err != nil {
		return PeerGives{}, err
	}
	return s.gives(ctx, u)
}

func (s *Service) gives(ctx context.Context, u perm.User) (PeerGives, error) {
	p, _, err := s.peer(ctx, u)
	if err != nil {
		return PeerGives{}, err
	}
	view := s.As(datasite.Identity{Subject: u})
	defer view.Close()
	w := &giving{s: s, view: view, user: u, told: PeerGives{Address: string(u), State: p.State, Jobs: []GivenFolder{}, Datasets: []GivenDataset{}, Places: []GivenPlace{}}}
	if p.Account == "disabled" {
		w.told.Warning = fmt.Sprintf("the account of %s is disabled here; accepting it as a peer gives its address these rights all the same", u)
	}
	for _, step := range []func(context.Context) error{w.jobs, w.datasets, w.places} {
		if err := step(ctx); err != nil {
			return PeerGives{}, Wrap(fmt.Errorf("what %s is given: %w", u, err))
		}
	}
	w.told.Text = w.told.text()
	return w.told, nil
}

// giving looks at the datasite as a peer.
type giving struct {
	s    *Service
	view *guard.View // of the peer
	user perm.User
	told PeerGives
	rows []*GivenPlace // told.Places, while they are counted
}

// jobs tells of the folders that jobs.Admit makes.
func (w *giving) jobs(ctx context.Context) error {
	for _, f := range []struct {
		dir   string
		level perm.Level
	}{{datasite.JobInboxDir, perm.Write}, {datasite.JobReviewDir, perm.Read}} {
		dir := datasite.Path{Owner: w.s.Owner}.Join(f.dir, string(w.user))
		g := GivenFolder{Path: dir.String(), Level: f.level.String()}
		_, err := w.s.View.Stat(ctx, dir.Join(datasite.PubFile))
		if err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return err
		}
		if g.Exists = err == nil; g.Exists {
			d, err := w.s.View.Explain(ctx, w.user, dir, perm.None)
			if err != nil {
				return err
			}
			g.Level = d.Level.String()
		}
		w.told.Jobs = append(w.told.Jobs, g)
	}
	return nil
}

func (w *giving) datasets(ctx context.Context) error {
	sets, err := dataset.List(ctx, w.view)
	if err != nil {
		return err
	}
	for _, d := range sets {
		if d.Owner != w.s.Owner {
			continue
		}
		if w.full() {
			w.told.More++
			continue
		}
		w.told.Datasets = append(w.told.Datasets, GivenDataset{Name: d.Name, Files: len(d.Files)})
	}
	return nil
}

func (w *giving) full() bool {
	return len(w.told.Datasets)+len(w.rows) >= maxGivenShown
}

func (w *giving) places(ctx context.Context) error {
	if err := w.folder(ctx, datasite.Path{Owner: w.s.Owner}, nil, perm.None); err != nil {
		return err
	}
	for _, row := range w.rows {
		w.told.Places = append(w.told.Places, *row)
	}
	return nil
}

// begin makes a row. What there is no room for is counted in one that nobody sees.
func (w *giving) begin(p datasite.Path, level perm.Level, dir bool) *GivenPlace {
	row := &GivenPlace{Path: p.String(), Level: level.String(), Dir: dir}
	if w.full() {
		w.told.More++
	} else {
		w.rows = append(w.rows, row)
	}
	return row
}

// folder looks at what exists in p for the peer. What has the level of the folder above it is counted there, in row.
func (w *giving) folder(ctx context.Context, p datasite.Path, row *GivenPlace, level perm.Level) error {
	entries, err := w.view.List(ctx, p)
	if errors.Is(err, iofs.ErrNotExist) || errors.Is(err, iofs.ErrPermission) {
		return nil // gone, or not to be listed by the peer
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		at := p.Join(e.Name)
		if !w.travels(at) || !e.Mode.IsDir() && !e.Mode.IsRegular() {
			continue
		}
		if w.told.Looked >= maxGivenLooked {
			w.told.Truncated = true
			return nil
		}
		w.told.Looked++
		d, err := w.s.View.Explain(ctx, w.user, at, perm.None)
		if err != nil {
			return err
		}
		in := row
		switch {
		case d.Level == perm.None:
			in = nil // visible only for what is below
		case row == nil || d.Level != level:
			in = w.begin(at, d.Level, e.Mode.IsDir())
		}
		if e.Mode.IsDir() {
			err = w.folder(ctx, at, in, d.Level)
		} else if in != nil {
			in.Files++
		}
		if err != nil || w.told.Truncated {
			return err
		}
	}
	return nil
}

// travels reports whether p may leave this machine and is told nowhere else.
func (w *giving) travels(p datasite.Path) bool {
	for _, dir := range []string{datasite.JobInboxDir, datasite.JobReviewDir} {
		if p.Under(datasite.Path{Owner: w.s.Owner}.Join(dir, string(w.user))) {
			return false
		}
	}
	return p.Replicated() && p.Rel != datasite.PublicDatasetsDir && !datasite.IsRuleName(p.Base())
}

// text is what an acceptance gives, for people.
func (g PeerGives) text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if g.State == PeerAccepted {
		line("%s is an accepted peer, and has:", g.Address)
	} else {
		line("Accepting %s gives:", g.Address)
	}
	for _, f := range g.Jobs {
		how := "is made"
		if f.Exists {
			how = "is there, and its rules stay as they are"
		}
		line("  %-7s /%s: %s", f.Level, f.Path, how)
	}
	for _, d := range g.Datasets {
		line("  %-7s the mock part of dataset %s, %s", perm.Read, d.Name, plural(d.Files, "file"))
	}
	for _, p := range g.Places {
		if p.Dir {
			line("  %-7s /%s/ and what is below it, %s now", p.Level, p.Path, plural(p.Files, "file"))
		} else {
			line("  %-7s /%s", p.Level, p.Path)
		}
	}
	switch {
	case g.Truncated:
		line("  and there is more: %d files and folders were looked at", g.Looked)
	case g.More > 0:
		line("  and %s more", plural(g.More, "place"))
	case len(g.Datasets)+len(g.Places) == 0:
		line("  nothing else: by the rules it may read no dataset and no file")
	}
	line("All this by the rules as they are: later changes of the rules change it. It may send jobs, which run only as you approve them.")
	if g.Warning != "" {
		line("Note: %s.", g.Warning)
	}
	return b.String()
}

// plural counts things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
