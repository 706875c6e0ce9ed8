package backing

import (
	"errors"

	"github.com/fsnotify/fsnotify"
)

// notify is the system by inotify.
type notify struct{ *fsnotify.Watcher }

func newSystem() (system, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	return notify{w}, nil
}

func (n notify) next(quit <-chan struct{}) (name string, came, went bool, err error, ok bool) {
	select {
	case e, ok := <-n.Events:
		return e.Name, e.Has(fsnotify.Create), e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename), nil, ok
	case err, ok := <-n.Errors:
		if errors.Is(err, fsnotify.ErrEventOverflow) {
			err = errLost
		}
		return "", false, false, err, ok
	case <-quit:
		return "", false, false, nil, false
	}
}
