// Package backing is the only code that touches the real directory of the datasites, always relative to a handle that was
// opened before the mount. It does not know users or permissions. Links are stored as themselves and never followed.
package backing

// Tree is the real directory.
type Tree struct{}
