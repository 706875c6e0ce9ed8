package drive_test

import (
	"testing"

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
func TestConformance(t *testing.T) { conform(t, func(*place) {}) }

// TestConformanceElsewhere: the same where the server behaves as Google perhaps does, and large files go in many pieces.
func TestConformanceElsewhere(t *testing.T) {
	conform(t, func(p *place) {
		err := p.SetSwitches(driveserver.Switches{StrictContains: true, ExactNames: true, RefuseRegrant: true, DuplicateReason: true,
			EachChange: true, ErrorDetails: true, FolderChangesOnly: true})
		if err != nil {
			p.t.Fatal(err)
		}
	}, func(c *drive.Config) { c.ChunkSize = 1 << 20 })
}
