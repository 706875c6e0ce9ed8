//go:build !fsnotify

package backing

import "errors"

func newSystem() (system, error) {
	return nil, errors.New("this program was built without it (tag fsnotify)")
}
