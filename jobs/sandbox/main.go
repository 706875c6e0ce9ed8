package sandbox

import (
	"fmt"
	"os"
)

// First arguments by which our own binary, started again, knows its part. None of them can be a command or a file name.
const (
	argShim = "//sandbox.shim" // between the daemon and bubblewrap, outside the sandbox
	argInit = "//sandbox.init" // the first process of a job, inside
	argTest = "//sandbox.test" // what the self-test runs in place of a job, inside
	argHold = "//sandbox.hold" // holds a user namespace until its standard input ends
)

// Main plays the part of the sandbox that args[1] names and reports whether there was one. A program that makes a
// Sandbox calls it before anything else in main, a test binary in TestMain, and exits with code if it was handled.
func Main(args []string) (handled bool, code int) {
	if len(args) < 2 {
		return false, 0
	}
	var err error
	switch args[1] {
	case argShim:
		err = shimMain()
	case argInit:
		err = initMain(args[2:])
	case argTest:
		return true, testMain(args[2:])
	case argHold:
		err = holdMain()
	default:
		return false, 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		return true, 126
	}
	return true, 0
}
