//go:build long

// Package soak lets three people who are peers of each other work at random in their mounts while the Drive between them fails, is late and is
// killed, and compares what they have with a model at every quiet point. It knows the built program from the outside only. Nobody imports it.
package soak

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/openmined/syftfs/integration/mountns"
)

// The variables that make it long, or another one.
const (
	opsEnv  = "SYFTFS_SOAK_OPS"  // how many operations; 400 without it
	seedEnv = "SYFTFS_SOAK_SEED" // of the dice; 1 without it
)

const (
	usualOps   = 400
	usualQuiet = 200 // operations between two quiet points
	longQuiet  = 400

	usualRounds = 15 // operations between two waits for an exchange, about
	longRounds  = 40
)

// program is the built program.
var program string

func TestMain(m *testing.M) { mountns.MainWith(m, build) }

func build() (func(), error) {
	dir, err := os.MkdirTemp("", "syftfs-soak-")
	if err != nil {
		return nil, err
	}
	program = filepath.Join(dir, "syftfs")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/syftfs").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w: %s", err, out)
	}
	return func() { os.RemoveAll(dir) }, nil
}

func number(t *testing.T, env string, usual int) int {
	v := os.Getenv(env)
	if v == "" {
		return usual
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is not a number above 0", env, v)
	}
	return n
}

// TestSoak is the soak. The operations and faults follow from the seed; how they fall together with what the programs do does not.
func TestSoak(t *testing.T) {
	ops, seed := number(t, opsEnv, usualOps), number(t, seedEnv, 1)
	quiet, rounds := usualQuiet, usualRounds
	if ops > usualOps {
		quiet, rounds = longQuiet, longRounds
	}
	began := time.Now()
	w := newWorld(t, uint64(seed))
	w.rounds = rounds
	// The Drive's clock is two days behind at first, then right, then two days ahead: it never goes back, as a store's does not.
	clocks := map[int]string{1: "-48h", ops/3 + 1: "0s", ops*2/3 + 1: "48h"}
	for n := 1; n <= ops && !t.Failed(); n++ {
		w.n = n
		if offset, ok := clocks[n]; ok {
			w.drive.clock(offset)
		}
		w.trouble()
		w.operate()
		if n%quiet == 0 || n == ops {
			w.settle()
			w.check()
		}
	}
	if !t.Failed() {
		w.journals()
	}
	w.report(time.Since(began))
}

// dice are the two sources of chance: of what people do, and of what goes wrong.
type dice struct{ ops, faults *rand.Rand }

func newDice(seed uint64) dice {
	return dice{ops: rand.New(rand.NewPCG(seed, 1)), faults: rand.New(rand.NewPCG(seed, 2))}
}
