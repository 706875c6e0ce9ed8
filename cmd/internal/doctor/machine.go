package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/openmined/syftfs/cmd/internal/config"
	"github.com/openmined/syftfs/jobs/sandbox"
)

func kernel() Finding {
	f := Finding{Name: "kernel", State: OK}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return Finding{Name: f.Name, State: Missing, Detail: err.Error(), Remedy: "run on Linux"}
	}
	release := unix.ByteSliceToString(u.Release[:])
	f.Detail = "Linux " + release
	var major, minor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n == 2 && (major < 5 || major == 5 && minor < 14) {
		f.State, f.Remedy = Missing, "the sandbox needs Linux 5.14 or newer"
	}
	return f
}

// machine asks the sandbox about everything that jobs need.
func machine(ctx context.Context, o Options, site *config.Config) []Finding {
	cfg := o.Sandbox
	if site != nil {
		cfg.RequireCgroup = cfg.RequireCgroup || site.Limits.RequireCgroup
	}
	facts, err := sandbox.Probe(ctx, cfg)
	return append(bubblewrap(facts, err), namespaces(), selfTest(facts, err), cgroups(facts), landlock(facts), python(facts))
}

func bubblewrap(facts sandbox.Facts, err error) []Finding {
	if facts.BwrapVersion != "" {
		return []Finding{{Name: "bubblewrap", State: OK, Detail: facts.BwrapVersion + " (" + facts.Bwrap + ")"}}
	}
	f := Finding{Name: "bubblewrap", State: Missing, Detail: "not found", Remedy: "apt-get install bubblewrap"}
	var nr *sandbox.NotReady
	if errors.As(err, &nr) {
		f.Detail, f.Remedy = nr.Missing, nr.Remedy
	}
	return []Finding{f}
}

func namespaces() Finding {
	f := Finding{Name: "user namespaces", State: OK, Detail: "can be made"}
	if err := sandbox.Namespaces(); err != nil {
		f.State, f.Detail, f.Remedy = Missing, err.Missing, err.Remedy
	}
	return f
}

func selfTest(facts sandbox.Facts, err error) Finding {
	if err == nil {
		return Finding{Name: "sandbox", State: OK, Detail: "self-test passed"}
	}
	f := Finding{Name: "sandbox", State: Missing, Detail: err.Error(), Remedy: "jobs can be reviewed and approved, but not run"}
	var nr *sandbox.NotReady
	if errors.As(err, &nr) {
		f.Detail, f.Remedy = nr.Missing, nr.Remedy
		if nr.Err != nil {
			f.Detail += ": " + strings.ReplaceAll(nr.Err.Error(), "\n", "; ")
		}
	}
	return f
}

func cgroups(facts sandbox.Facts) Finding {
	f := Finding{Name: "limits of jobs", State: OK, Detail: strings.Join(facts.Means, "; ")}
	switch {
	case len(facts.Means) == 0:
		f.State, f.Detail, f.Remedy = Degraded, "not known before the self-test passes", "see sandbox"
	case !facts.Cgroups:
		f.State = Degraded
		f.Remedy = "for exact limits run the daemon as a service with Delegate=yes (cgroup v2)"
	}
	return f
}

func landlock(facts sandbox.Facts) Finding {
	if facts.Landlock > 0 {
		return Finding{Name: "landlock", State: OK, Detail: fmt.Sprintf("ABI %d", facts.Landlock)}
	}
	return Finding{Name: "landlock", State: Degraded, Detail: "not in this kernel, jobs run without it",
		Remedy: "boot a kernel with Landlock (lsm=landlock,...) for one more wall"}
}

func python(facts sandbox.Facts) Finding {
	if facts.Python != "" {
		return Finding{Name: "python", State: OK, Detail: facts.PythonVersion + " (" + facts.Python + ")"}
	}
	return Finding{Name: "python", State: Degraded, Detail: "no Python 3.10 or newer below /usr, jobs in Python fail",
		Remedy: "apt-get install python3"}
}
