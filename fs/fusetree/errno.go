package fusetree

import (
	"context"
	"errors"
	iofs "io/fs"
	"log/slog"
	"syscall"
	"unicode/utf8"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/virtual"
)

// rule is one row of the table: an error that matches is answered with errno, and logged at level.
type rule struct {
	match func(error) (syscall.Errno, bool)
	level slog.Level
}

func is(target error, errno syscall.Errno) func(error) (syscall.Errno, bool) {
	return func(err error) (syscall.Errno, bool) { return errno, errors.Is(err, target) }
}

// inside finds the errno that an error carries. It comes before the sentinels, because an errno also matches those
// (EPERM is fs.ErrPermission) and says more.
func inside(err error) (syscall.Errno, bool) {
	var e syscall.Errno
	ok := errors.As(err, &e) && e != 0
	return e, ok
}

// rules is the one place where an error of the gate or of a provider becomes an errno. The first row that matches wins.
// What no row knows is EIO: the gate's disk and journal errors carry their errno (ENOSPC) if they have one.
func rules() []rule {
	return []rule{
		{is(context.Canceled, syscall.EINTR), slog.LevelDebug},
		{is(context.DeadlineExceeded, syscall.EINTR), slog.LevelDebug},
		{inside, slog.LevelDebug},
		{is(iofs.ErrNotExist, syscall.ENOENT), slog.LevelDebug},
		{is(iofs.ErrPermission, syscall.EACCES), slog.LevelInfo},
		{is(iofs.ErrExist, syscall.EEXIST), slog.LevelDebug},
		{is(iofs.ErrInvalid, syscall.EINVAL), slog.LevelInfo},
		{is(iofs.ErrClosed, syscall.EBADF), slog.LevelDebug},
		{is(datasite.ErrName, syscall.EINVAL), slog.LevelDebug},
		{is(datasite.ErrStale, syscall.ESTALE), slog.LevelInfo},
		{is(errors.ErrUnsupported, syscall.EOPNOTSUPP), slog.LevelDebug},
	}
}

// answer tells the errno for err, and how loudly the log should say it.
func (x *errnos) answer(err error) (syscall.Errno, slog.Level) {
	if err == nil {
		return 0, slog.LevelDebug
	}
	for _, r := range x.rules {
		if e, ok := r.match(err); ok {
			return e, max(r.level, loudness(e))
		}
	}
	return syscall.EIO, slog.LevelError
}

type errnos struct{ rules []rule }

// loudness is for an errno that came inside an error: the same levels as the sentinels', and an error for a failing disk.
func loudness(e syscall.Errno) slog.Level {
	switch e {
	case syscall.EACCES, syscall.EROFS, syscall.EINVAL, syscall.EFBIG, syscall.EILSEQ, syscall.ENAMETOOLONG:
		return slog.LevelInfo
	case syscall.EIO, syscall.ENOSPC, syscall.EDQUOT:
		return slog.LevelError
	}
	return slog.LevelDebug
}

// refusal reports whether a person should be able to read why: the call was understood and said no to. A name that is not
// there, or there already, explains itself.
func refusal(err error, e syscall.Errno) bool {
	var r *virtual.Refusal
	if errors.As(err, &r) {
		return true
	}
	switch e {
	case syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.EINVAL, syscall.EFBIG, syscall.EILSEQ,
		syscall.ENAMETOOLONG, syscall.EIO, syscall.ENOSPC, syscall.EDQUOT:
		return true
	}
	return false
}

// refused is an error with the sentence for a person and the errno that programs get.
type refused struct {
	reason string
	errno  syscall.Errno
}

func (r *refused) Error() string { return r.reason }
func (r *refused) Unwrap() error { return r.errno }

func refuse(errno syscall.Errno, reason string) error { return &refused{reason, errno} }

// badName explains why a name cannot be made; nil if it can.
func badName(name string) error {
	switch err := datasite.CheckName(name); {
	case err == nil:
		return nil
	case len(name) > 255:
		return refuse(syscall.ENAMETOOLONG, "the name is longer than 255 bytes; choose a shorter one")
	case !utf8.ValidString(name):
		return refuse(syscall.EILSEQ, "the name is not UTF-8, so it cannot travel to a peer; rename it (convmv can do that for a whole folder)")
	default:
		return err
	}
}
