// Package demo is the main job of the program as a story of child processes: two people, a dataset, an analysis, an approval, a
// result, done with plain file operations in real mounts. It knows this program only by its commands and its mount. The command imports it.
package demo

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"time"
)

//go:embed data
var data embed.FS

// Options are for Run.
type Options struct {
	Self string    // this program
	Out  io.Writer // the story
	Keep bool      // leave everything mounted until ctx ends
	One  bool      // the story on one machine, without a Drive
}

// chapter is a part of a story.
type chapter = func(context.Context) error

// Run plays the story and takes everything away again. An error means that something was not as it must be.
func Run(ctx context.Context, o Options) (err error) {
	dir, unlock, err := workplace(ctx, o.Out)
	if err != nil {
		return err
	}
	s := &story{o: o, dir: dir, began: time.Now(), ended: make(chan *daemon, maxDaemons)}
	defer func() {
		err = errors.Join(err, s.end(), unlock())
		if err == nil {
			fmt.Fprintf(o.Out, "\nNothing is left behind: no mount, no process, no file.\n")
		}
	}()
	if err := s.prepare(); err != nil {
		return err
	}
	chapters := s.twoSites()
	if o.One {
		chapters = s.oneMachine()
	}
	for _, play := range chapters {
		if err := play(ctx); err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("interrupted: %w", context.Cause(ctx))
			}
			return err
		}
	}
	s.summary()
	if o.Keep {
		s.lookAround()
		<-ctx.Done()
	}
	return nil
}

// prepare unpacks the data and Rachel's analysis.
func (s *story) prepare() error {
	s.owen = s.person("owen", owenEmail)
	s.rachel = s.person("rachel", rachelEmail)
	s.drive = s.person("drive", "")
	for _, p := range []*person{s.owen, s.rachel, s.drive} {
		if err := os.MkdirAll(filepath.Join(p.home, ".run"), 0o700); err != nil {
			return err
		}
	}
	for _, u := range []struct{ from, to string }{
		{"data/breast-cancer", filepath.Join(s.owen.home, "breast-cancer")},
		{"data/mock.csv", filepath.Join(s.owen.home, "mock.csv")},
		{"data/analysis", filepath.Join(s.rachel.home, "analysis")},
	} {
		if err := unpack(u.from, u.to); err != nil {
			return err
		}
	}
	return nil
}

// unpack writes an embedded file or folder.
func unpack(from, to string) error {
	return iofs.WalkDir(data, from, func(p string, e iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if e.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		b, err := data.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o600)
	})
}
