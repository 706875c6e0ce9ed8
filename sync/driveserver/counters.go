package driveserver

import (
	"maps"
	"sync"

	"go.etcd.io/bbolt"
)

// Units that a call costs, as Google bills them since May 2026.
const (
	unitsOther    = 5
	unitsGet      = 5
	unitsList     = 100
	unitsDownload = 200
	unitsEdit     = 50
)

// Count is what one account has used. Requests counts HTTP requests by method; the calls inside a batch are in Batched, and the batch
// itself is one request "batch".
type Count struct {
	Requests map[string]int64 `json:"requests"`
	Batched  map[string]int64 `json:"batched,omitempty"`
	Statuses map[int]int64    `json:"statuses"` // by HTTP status, batched calls included
	Units    int64            `json:"units"`
	Received int64            `json:"received"` // bytes of content
	Sent     int64            `json:"sent"`
}

func (c Count) clone() Count {
	c.Requests, c.Batched, c.Statuses = maps.Clone(c.Requests), maps.Clone(c.Batched), maps.Clone(c.Statuses)
	return c
}

// Total is the number of HTTP requests.
func (c Count) Total() int64 {
	var n int64
	for _, v := range c.Requests {
		n += v
	}
	return n
}

// nobody is the account of requests without a valid token.
const nobody = "-"

// counters holds the counts by account id. They are stored with the next transaction, and at Close.
type counters struct {
	mu      sync.Mutex
	counts  map[string]Count
	changed map[string]bool
}

func (c *counters) load(from map[string]Count) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts, c.changed = map[string]Count{}, map[string]bool{}
	for k, v := range from {
		c.counts[k] = v.clone()
	}
}

func (c *counters) add(account string, change func(*Count)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.counts[account]
	if n.Requests == nil {
		n.Requests = map[string]int64{}
	}
	if n.Batched == nil {
		n.Batched = map[string]int64{}
	}
	if n.Statuses == nil {
		n.Statuses = map[int]int64{}
	}
	change(&n)
	c.counts[account] = n
	c.changed[account] = true
}

// dirty are copies of the counts that are not stored yet.
func (c *counters) dirty() map[string]Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]Count{}
	for k := range c.changed {
		out[k] = c.counts[k].clone()
	}
	return out
}

// saved notes that counts are stored; one that moved meanwhile stays dirty.
func (c *counters) saved(counts map[string]Count) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, v := range counts {
		if now := c.counts[k]; now.Total() == v.Total() && now.Units == v.Units && now.Received == v.Received && now.Sent == v.Sent {
			delete(c.changed, k)
		}
	}
}

func (c *counters) all() map[string]Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]Count{}
	for k, v := range c.counts {
		out[k] = v.clone()
	}
	return out
}

// Stats are the counts by address; "" is for requests without a valid token.
func (s *Server) Stats() map[string]Count {
	counts := s.counters.all()
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := map[string]Count{}
	for id, c := range counts {
		switch a := s.st.accounts[id]; {
		case a != nil:
			out[a.Email] = c
		case id == nobody:
			out[""] = c
		}
	}
	return out
}

// ResetStats sets all counts to zero.
func (s *Server) ResetStats() error {
	return s.update("", func(tx *txn) error {
		for k := range tx.st.counts {
			tx.save(bucketCounts, k, nil, func(st *state) { delete(st.counts, k) })
		}
		tx.s.counters.load(nil)
		return nil
	})
}

// saveCounters stores the counts. Call it with write held.
func (s *Server) saveCounters() error {
	counts := s.counters.dirty()
	if len(counts) == 0 {
		return nil
	}
	return s.store.db.Update(func(tx *bbolt.Tx) error {
		for k, c := range counts {
			if err := putJSON(tx, bucketCounts, k, c); err != nil {
				return err
			}
		}
		return nil
	})
}
