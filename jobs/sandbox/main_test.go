package sandbox_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/openmined/syftfs/integration/mountns"
	"github.com/openmined/syftfs/jobs/sandbox"
)

// playEnv names the part that this binary plays for a test, in place of running tests.
const playEnv = "SYFTFS_TEST_PLAY"

// TestMain lets this binary be the shim and the init of its own sandboxes, and the parts that tests play.
func TestMain(m *testing.M) {
	if handled, code := sandbox.Main(os.Args); handled {
		syscall.Exit(code) // at once; the race detector would take a second for its summary
	}
	if part := os.Getenv(playEnv); part != "" {
		if err := play(part, os.Args[1]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	mountns.Main(m)
}
