package driveserver

import (
	"time"

	"go.etcd.io/bbolt"
)

// Mail is a notification that Drive would have sent. It never leaves the machine.
type Mail struct {
	From    string    `json:"from"`
	To      string    `json:"to"`
	Item    string    `json:"item"`
	Name    string    `json:"name"`
	Role    string    `json:"role"`
	Message string    `json:"message,omitempty"`
	At      time.Time `json:"at"`
}

const maxOutbox = 10_000 // mails kept; beyond it the oldest are forgotten

// Outbox are the mails in order, the oldest first.
func (s *Server) Outbox() []Mail {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return append([]Mail(nil), s.st.outbox...)
}

func (tx *txn) mail(m Mail) {
	key := position(int(tx.seq))
	if len(tx.st.outbox) >= maxOutbox {
		tx.writes = append(tx.writes, func(b *bbolt.Tx) error {
			c := b.Bucket([]byte(bucketOutbox)).Cursor()
			c.First()
			return c.Delete()
		})
	}
	tx.save(bucketOutbox, key, m, func(st *state) {
		st.outbox = append(st.outbox, m)
		if len(st.outbox) > maxOutbox {
			st.outbox = st.outbox[len(st.outbox)-maxOutbox:]
		}
	})
}
