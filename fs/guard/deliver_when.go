package guard

import (
	"fmt"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// arrived is d on p with when p was delivered, for the owner of this datasite, if it lies in a replica. What was applied is known by its
// hash, and its ctime is that of the rename by which it came; anything else was changed here since.
func (g *Guard) arrived(p datasite.Path, d perm.Decision) perm.Decision {
	if p.IsRoot() || p.Owner == g.cfg.Owner || g.cfg.Owner == "" || d.Request.User != g.cfg.Owner {
		return d
	}
	e, err := g.tree.Stat(p)
	k := g.known(p)
	var text string
	switch {
	case absent(err):
		text = fmt.Sprintf("Nothing was delivered by %s under this name", p.Owner)
	case err == nil && e.Mode.IsRegular() && k.Hash != (datasite.Hash{}) && sameStamp(k.Stamp, e.Stamp):
		text = "It came at " + e.Stamp.CTime.UTC().Format(time.RFC3339)
	default:
		return d
	}
	d.Steps = append(d.Steps[:len(d.Steps):len(d.Steps)], perm.Step{Text: text})
	return d
}
