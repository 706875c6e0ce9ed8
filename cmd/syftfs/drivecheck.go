package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/sync/driveserver"
	"github.com/spf13/cobra"
)

// checked is the answer of drive check.
type checked struct {
	Dir      string   `json:"dir"`
	Running  bool     `json:"running"`
	Problems []string `json:"problems"`
}

func (d *localDrive) checkCmd() *cobra.Command {
	return &cobra.Command{Use: "check", Short: "Read the whole store and tell what is damaged", Args: exactly(0),
		Long: "check reads every record and every byte: files without a folder or an owner, circles of folders, contents that are missing, changed or named by nothing.\n" +
			"It asks the server if one runs, and else opens the store itself. Exit status: 0 when all is well, 1 when something is damaged.",
		Example: "  syftfs drive check\n  syftfs drive check --dir ~/drive --json",
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := d.folder()
			if err != nil {
				return err
			}
			found, err := d.check(c.Context(), dir)
			if err != nil {
				return err
			}
			if err := d.show(found, func(w io.Writer) {
				if len(found.Problems) == 0 {
					fmt.Fprintf(w, "The drive in %s is whole.\n", clean(dir, false))
					return
				}
				fmt.Fprintf(w, "Problems of the drive in %s:\n", clean(dir, false))
				for _, p := range found.Problems {
					fmt.Fprintln(w, " ", clean(p, false))
				}
			}); err != nil {
				return err
			}
			if len(found.Problems) > 0 {
				return exit(1)
			}
			return nil
		}}
}

func (d *localDrive) check(ctx context.Context, dir string) (checked, error) {
	_, err := d.running(dir)
	if err == nil {
		found, err := tell[checked](ctx, d, http.MethodGet, "check", nil)
		found.Dir, found.Running = dir, true
		return found, err
	}
	if e, ok := errors.AsType[*service.Error](err); !ok || e.Code != service.NotRunning {
		return checked{}, err
	}
	// Opening would make a store.
	if _, err := os.Stat(filepath.Join(dir, databaseFile)); errors.Is(err, iofs.ErrNotExist) {
		return checked{}, &service.Error{Code: service.NotFound, Message: fmt.Sprintf("there is no drive in %s: say where with --dir", dir), Err: err}
	}
	s, err := openStore(driveserver.Config{Dir: dir})
	var outside *iofs.PathError
	switch {
	case errors.Is(err, driveserver.ErrInUse) || errors.As(err, &outside):
		return checked{}, err
	case err != nil: // what the store itself is like
		return checked{Dir: dir, Problems: []string{err.Error()}}, nil
	}
	problems, err := s.Check(ctx)
	return checked{Dir: dir, Problems: problems}, errors.Join(err, s.Close())
}
