package replica

import (
	"context"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
)

// shown is what peer gets of the rule file at p with the text body; ok is false if it gets none. Who has admin gets it whole. Who may create or
// write below it, and runs syftfs, gets its projection: the same patterns, and of the lists what is about that peer.
func (r *Replica) shown(ctx context.Context, peer Peer, p datasite.Path, body []byte) (text []byte, ok bool, err error) {
	level, err := r.cfg.Rights.Level(ctx, peer.User, p)
	if err != nil || level == perm.Admin {
		return body, err == nil, err
	}
	if !peer.Syftfs {
		return nil, false, nil
	}
	rules, _, err := rulefile.Parse("/"+p.String(), body)
	if err != nil {
		return nil, false, nil // it is in force as "for the owner only"
	}
	mine := rulefile.Project(rules, peer.User)
	may := false
	for _, rule := range mine.Rules {
		for l, who := range rule.Grants {
			may = may || l >= perm.Create && len(who) > 0 && !rule.Deny
		}
	}
	if !may {
		// A file that only takes rights away matters to who has them from a file above.
		level, err := r.cfg.Rights.Level(ctx, peer.User, p.Parent())
		if err != nil || level < perm.Create {
			return nil, false, err
		}
	}
	text, err = rulefile.Render(mine)
	if err != nil {
		return nil, false, nil // no file holds them: its reader would be told something else than the truth
	}
	return text, true, nil
}

// isRule reports whether p is a rule file.
func isRule(p datasite.Path) bool { return datasite.IsRuleName(p.Base()) }
