package drive_test

import (
	"testing"
	"time"

	"github.com/openmined/syftfs/sync/drive"
	"github.com/openmined/syftfs/sync/driveserver"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
)

func conform(t *testing.T, prepare func(p *place), change ...func(*drive.Config)) {
	remotetest.Run(t, func(t *testing.T) func(string) remote.Remote {
		p := startServer(t)
		prepare(p)
		return func(email string) remote.Remote { return p.client(email, nil, change...) }
	})
}

// TestConformance: the whole contract, on a server that speaks Drive.
func TestConformance(t *testing.T) {
	t.Parallel()
	conform(t, func(*place) {})
}

// TestConformanceElsewhere: the same where the server behaves as Google perhaps does, and large files go in many pieces.
func TestConformanceElsewhere(t *testing.T) {
	t.Parallel()
	conform(t, func(p *place) {
		err := p.SetSwitches(driveserver.Switches{StrictContains: true, ExactNames: true, RefuseRegrant: true, DuplicateReason: true,
			EachChange: true, ErrorDetails: true, FolderChangesOnly: true})
		if err != nil {
			p.t.Fatal(err)
		}
	}, func(c *drive.Config) { c.ChunkSize = 1 << 20 })
}

// TestConformanceUnderFaults: the same on a server that loses answers, throttles, cuts connections and bodies, forgets uploads.
func TestConformanceUnderFaults(t *testing.T) {
	t.Parallel()
	rule := func(method, kind string, chance float64, a driveserver.Action) driveserver.Rule {
		a.Kind = kind
		return driveserver.Rule{Method: method, Probability: chance, Seed: 11, Action: a}
	}
	rules := []driveserver.Rule{
		rule("files.create", driveserver.FaultErrorAfter, 0.05, driveserver.Action{Code: 500}),
		rule("files.create", driveserver.FaultErrorAfter, 0.05, driveserver.Action{Code: 403}),
		rule("files.upload", driveserver.FaultKeepFewer, 0.2, driveserver.Action{Bytes: 300_000}),
		rule("files.upload", driveserver.FaultLoseUpload, 0.1, driveserver.Action{Code: 404}),
		rule("files.upload", driveserver.FaultHideRange, 0.1, driveserver.Action{}),
		rule("files.upload", driveserver.FaultError, 0.1, driveserver.Action{Code: 400}),
		rule("files.download", driveserver.FaultTruncate, 0.2, driveserver.Action{Bytes: 1000}),
		rule("files.download", driveserver.FaultIgnoreRange, 0.3, driveserver.Action{}),
		rule("files.list", driveserver.FaultShortPage, 0.3, driveserver.Action{Bytes: 3}),
		rule("changes.list", driveserver.FaultTwice, 0.3, driveserver.Action{}),
		rule("changes.list", driveserver.FaultShortPage, 0.2, driveserver.Action{Bytes: 1}),
		rule("", driveserver.FaultDropAfter, 0.03, driveserver.Action{}),
		rule("", driveserver.FaultDropInside, 0.03, driveserver.Action{}),
		rule("", driveserver.FaultDrop, 0.03, driveserver.Action{}),
		rule("", driveserver.FaultError, 0.03, driveserver.Action{Code: 429, RetryAfter: 7}),
		rule("files.*", driveserver.FaultError, 0.03, driveserver.Action{Code: 403, Reason: "rateLimitExceeded"}),
		rule("", driveserver.FaultError, 0.03, driveserver.Action{Code: 503, HTML: true}),
		{Method: "files.*", Skip: 3, Count: 1, Action: driveserver.Action{Kind: driveserver.FaultError, Code: 401}},
	}
	remotetest.Run(t, func(t *testing.T) func(string) remote.Remote {
		p := startServer(t)
		for _, r := range rules {
			if _, err := p.AddFault(r); err != nil {
				t.Fatal(err)
			}
		}
		return func(email string) remote.Remote {
			d := p.client(email, nil, func(c *drive.Config) { c.ChunkSize = 2 << 20 })
			return remote.WithRetry(d, remote.Policy{Tries: 30, Clock: &idleClock{now: time.Now()}})
		}
	})
}
