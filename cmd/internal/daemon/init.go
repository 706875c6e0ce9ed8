package daemon

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"

	"github.com/openmined/syftfs/cmd/internal/config"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/account"
)

// InitOptions are for Init. Home is the user's home folder; the rest have defaults.
type InitOptions struct {
	Email, Name, Mount, Backing, Home string
}

// Made is what Init made.
type Made struct {
	Name    string `json:"name"`
	Email   string `json:"email"`
	Mount   string `json:"mount"`
	Backing string `json:"backing"`
	State   string `json:"state"`
}

// Init makes a datasite: its backing folder, its state folder and its configuration, in that order, so that a datasite that can be
// found is whole.
func Init(o InitOptions) (Made, error) {
	owner, err := perm.ParseUser(o.Email)
	if err != nil {
		return Made{}, &service.Error{Code: service.BadEmail, Field: "email", Message: err.Error(), Err: err}
	}
	if o.Name == "" {
		o.Name = config.Slug(string(owner))
	}
	if err := config.CheckName(o.Name); err != nil {
		return Made{}, &service.Error{Code: service.BadInput, Field: "name", Message: err.Error(), Err: err}
	}
	c := config.Default(string(owner), o.Home)
	for _, p := range []struct {
		from string
		to   *string
	}{{o.Mount, &c.Mount}, {o.Backing, &c.Backing}} {
		if p.from == "" {
			continue
		}
		abs, err := filepath.Abs(p.from)
		if err != nil {
			return Made{}, err
		}
		*p.to = abs
	}
	root, err := config.Root()
	if err != nil {
		return Made{}, err
	}
	stateDir := filepath.Join(root, o.Name)
	if err := free(stateDir, o.Name, c); err != nil {
		return Made{}, err
	}
	if err := c.Check(); err != nil {
		return Made{}, &service.Error{Code: service.BadInput, Message: err.Error(), Err: err}
	}
	for field, p := range map[string]string{"mount": c.Mount, "backing": c.Backing} {
		if config.Overlap(p, stateDir) {
			return Made{}, &service.Error{Code: service.BadInput, Field: field, Message: fmt.Sprintf("%s %s and the state folder %s lie in each other: choose another folder", field, p, stateDir)}
		}
	}
	if err := makePrivate(c.Backing); err != nil {
		return Made{}, err
	}
	if err := os.MkdirAll(filepath.Join(c.Backing, string(owner)), 0o700); err != nil {
		return Made{}, err
	}
	state, err := statedir.Open(stateDir, statedir.FromEnv())
	if err != nil {
		return Made{}, err
	}
	if _, err := account.Open(state, owner); err != nil {
		return Made{}, err
	}
	text, err := c.Marshal()
	if err != nil {
		return Made{}, err
	}
	if err := state.Write("init", config.File, text); err != nil {
		return Made{}, err
	}
	return Made{o.Name, string(owner), c.Mount, c.Backing, stateDir}, nil
}

// free refuses a name, a mount or a backing folder that another datasite of this user has.
func free(stateDir, name string, c config.Config) error {
	names, err := config.Names()
	if err != nil {
		return err
	}
	for _, other := range names {
		dir := filepath.Join(filepath.Dir(stateDir), other)
		if other == name {
			return &service.Error{Code: service.Conflict, Field: "name",
				Message: fmt.Sprintf("there is a datasite %q already: start it with `syftfs up`, or choose another --name", name)}
		}
		oc, err := config.Load(dir)
		if err != nil {
			return err
		}
		if oc.Mount == c.Mount {
			return &service.Error{Code: service.Conflict, Field: "mount", Message: fmt.Sprintf("datasite %q is mounted at %s: choose another folder with --mount DIR", other, c.Mount)}
		}
		if oc.Backing == c.Backing {
			return &service.Error{Code: service.Conflict, Field: "backing", Message: fmt.Sprintf("datasite %q keeps its files in %s: choose another folder with --backing DIR", other, c.Backing)}
		}
	}
	return nil
}

// makePrivate makes the backing folder, or accepts one that is there and that only its owner can read.
func makePrivate(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(dir, 0o700)
	if !errors.Is(err, iofs.ErrExist) {
		return err
	}
	return checkPrivate(dir)
}

// checkPrivate refuses a backing folder that others can look into: the rules would be for nothing.
func checkPrivate(dir string) error {
	info, err := os.Lstat(dir)
	if errors.Is(err, iofs.ErrNotExist) {
		return &service.Error{Code: service.NotFound, Field: "backing",
			Message: dir + " is not there, and it holds your files: bring it back (is a disk not mounted?), or name the right folder under backing: in the configuration", Err: err}
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &service.Error{Code: service.BadInput, Field: "backing", Message: dir + " is not a folder: move it away, or choose another with --backing DIR"}
	}
	if info.Mode().Perm()&0o077 != 0 {
		return &service.Error{Code: service.Conflict, Field: "backing",
			Message: fmt.Sprintf("%s can be read by others (mode %04o), past every rule: run: chmod 700 %s", dir, info.Mode().Perm(), dir)}
	}
	return nil
}
