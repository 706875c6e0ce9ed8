// Package doctor looks at this machine and at one datasite's folders, and says what is missing or weaker than it could be,
// and what to do about it. It changes nothing, decides nothing and holds no rule of its own: each part is asked itself.
// Only the command of the same name imports it.
package doctor

import (
	"context"
	"errors"

	"github.com/openmined/syftfs/cmd/internal/config"
	"github.com/openmined/syftfs/fs/fusetree"
	"github.com/openmined/syftfs/jobs/sandbox"
)

// State is how good a finding is.
type State string

const (
	OK       State = "ok"
	Degraded State = "degraded" // it works, with less than it could
	Missing  State = "missing"  // something does not work
)

// Finding is one thing that was looked at.
type Finding struct {
	Name   string `json:"name"`
	State  State  `json:"state"`
	Detail string `json:"detail"`           // what was found
	Remedy string `json:"remedy,omitempty"` // what to do; empty when there is nothing
}

// Options say what to look at.
type Options struct {
	Dir string // the state folder of a datasite; empty: only the machine

	// Sandbox is how jobs would be run here; its State is not used.
	Sandbox sandbox.Config
}

// Run looks at everything, in a fixed order. It runs the sandbox's self-test, which takes a fraction of a second.
func Run(ctx context.Context, o Options) []Finding {
	out := []Finding{mounting(), kernel()}
	var site *config.Config
	if o.Dir != "" {
		f, c := state(o.Dir)
		site = c
		out = append(out, f)
	}
	out = append(out, machine(ctx, o, site)...)
	if site != nil {
		out = append(out, mountPoint(site.Mount), backing(site.Backing))
		out = append(out, hidden(site.Backing)...)
	}
	return out
}

// Worst is the state of the whole: missing if anything is, else degraded if anything is.
func Worst(fs []Finding) State {
	worst := OK
	for _, f := range fs {
		switch {
		case f.State == Missing:
			return Missing
		case f.State == Degraded:
			worst = Degraded
		}
	}
	return worst
}

func mounting() Finding {
	f := Finding{Name: "mounting", State: OK, Detail: "/dev/fuse can be opened and mounted"}
	err := fusetree.Check()
	if err == nil {
		return f
	}
	f.State, f.Detail, f.Remedy = Missing, err.Error(), "the datasite cannot be mounted until this is repaired"
	var lack *fusetree.Lack
	if errors.As(err, &lack) {
		f.Detail, f.Remedy = lack.What, lack.Remedy
	}
	return f
}
