package remote

import "context"

// Pool takes ids from the store in large pieces and hands them out one by one, so that a thousand Puts cost one request more.
// Those left over when the process ends are never used, which costs nothing.
type Pool struct {
	from  IDs
	piece int
	turn  chan []ID // one slot: what is left; whoever holds it may ask the store
}

// NewPool makes a pool that asks for piece ids at a time; 0 is 1000.
func NewPool(from IDs, piece int) *Pool {
	if piece == 0 {
		piece = 1000
	}
	p := &Pool{from: from, piece: piece, turn: make(chan []ID, 1)}
	p.turn <- nil
	return p
}

// NewIDs gives n ids, and makes Pool itself an IDs.
func (p *Pool) NewIDs(ctx context.Context, n int) ([]ID, error) {
	var left []ID
	select {
	case left = <-p.turn:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { p.turn <- left }()
	if len(left) < n {
		more, err := p.from.NewIDs(ctx, max(p.piece, n-len(left)))
		if err != nil {
			return nil, err
		}
		left = append(left, more...)
	}
	taken := left[:n:n]
	left = left[n:]
	return taken, nil
}
