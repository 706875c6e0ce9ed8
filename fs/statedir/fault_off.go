//go:build !faults

package statedir

// FromEnv is nil: a released program has no fault injection.
func FromEnv() Fault { return nil }
