//go:build long

package integration

import (
	"fmt"
	"testing"
)

// TestIdle: while nothing happens a round is one question, whatever the number of peers.
func TestIdle(t *testing.T) {
	t.Parallel()
	d := newDrive(t)
	e := d.newEnd(t, nil, owen)
	e.start()
	for _, peers := range []int{1, 20} {
		for n := range peers {
			email := fmt.Sprintf("peer%d-of-%d@elsewhere.example", n, peers)
			d.add(email)
			d.user(email).request(owen)
			e.until(email+" asks", func() error { return e.there(e.peers("pending", email)) })
			e.ok("peers", "accept", email, "--yes")
		}
		e.untilSettled()
		// What the acceptances caused ends, and from then on there is nothing but questions.
		before := d.counts()[owen]
		e.until(fmt.Sprintf("twenty rounds of one request with %d more peers", peers), func() error {
			after := d.counts()[owen]
			rounds, all := after.Requests["changes.list"]-before.Requests["changes.list"], after.total()-before.total()
			if all != rounds {
				err := fmt.Errorf("%d rounds made %d requests: before %v, after %v", rounds, all, before.Requests, after.Requests)
				before = after
				return err
			}
			if rounds < 20 {
				return fmt.Errorf("%d rounds", rounds)
			}
			return nil
		})
	}
	e.stop()
}
