package perm

import "errors"

// Index answers requests over the rule files of any number of datasites, which load gives per folder, and caches what the
// rules say (never what limits say) by rule epoch.
type Index struct{}

// NewIndex makes an index; load returns the rule files that lie directly in dir, none if there are none.
func NewIndex(load func(owner User, dir string) ([]Ruleset, error)) *Index { return &Index{} }

// Decide answers r with reasons. Limits are not looked at: Decision.Limit does.
func (x *Index) Decide(r Request) (Decision, error) { return Decision{}, errors.ErrUnsupported }

// Epoch moves with every rule change of that datasite.
func (x *Index) Epoch(owner User) uint64 { return 0 }

// Forget drops what was loaded of a folder: a rule file there changed. It moves the epoch.
func (x *Index) Forget(owner User, dir string) {}

// ForgetAll drops everything of a datasite (a folder with rule files moved).
func (x *Index) ForgetAll(owner User) {}

// Turn moves the epoch: accounts changed.
func (x *Index) Turn(owner User) {}

// Limit applies the limits of the deciding rule to what is about to be made or changed, and gives d back, refused with its reason if f is beyond one.
func (d Decision) Limit(f File) Decision { return d }

// Explain tells the decision as sentences, one a line.
func (d Decision) Explain() string { return "" }
