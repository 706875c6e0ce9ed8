package sandbox_test

import (
	"os"
	"testing"

	"github.com/openmined/syftfs/integration/mountns"
	"github.com/openmined/syftfs/jobs/sandbox"
)

// TestMain lets this binary be the shim and the init of its own sandboxes, and the parts that tests play.
func TestMain(m *testing.M) {
	if handled, code := sandbox.Main(os.Args); handled {
		os.Exit(code)
	}
	mountns.Main(m)
}
