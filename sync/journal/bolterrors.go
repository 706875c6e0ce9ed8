package journal

import "go.etcd.io/bbolt/errors" // in a file of its own: elsewhere errors is the standard package

// The errors of the store that have a meaning here.
var (
	boltTimeout  = errors.ErrTimeout
	boltInvalid  = errors.ErrInvalid
	boltChecksum = errors.ErrChecksum
	boltVersion  = errors.ErrVersionMismatch
	boltClosed   = errors.ErrDatabaseNotOpen
)
