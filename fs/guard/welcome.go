package guard

import (
	"errors"
	iofs "io/fs"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// Welcome makes the folder of a peer's datasite, so that what is made of it in a mount can be reached before anything was delivered.
// One that is there is left alone.
func (g *Guard) Welcome(owner perm.User) error {
	p := datasite.Path{Owner: owner}
	err := func() error {
		defer g.locks.lock(exclusive(p))()
		return g.tree.Mkdir(p, 0o700)
	}()
	if errors.Is(err, iofs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	g.changed(false, p)
	g.tell(nil, news{paths: []datasite.Path{p}})
	return nil
}
