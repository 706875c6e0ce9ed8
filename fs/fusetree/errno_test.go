package fusetree

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/fs/virtual"
)

func TestErrno(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("open a@x.org/f: %w", err) }
	path := func(err error) error { return &iofs.PathError{Op: "open", Path: "a@x.org/f", Err: err} }
	tests := []struct {
		name  string
		err   error
		want  syscall.Errno
		level slog.Level
		tell  bool
	}{
		{"not there", iofs.ErrNotExist, syscall.ENOENT, slog.LevelDebug, false},
		{"not there, wrapped", wrap(iofs.ErrNotExist), syscall.ENOENT, slog.LevelDebug, false},
		{"not there, from the disk", path(syscall.ENOENT), syscall.ENOENT, slog.LevelDebug, false},
		{"hidden", &guard.Denied{Hidden: true}, syscall.ENOENT, slog.LevelDebug, false},
		{"no right", wrap(iofs.ErrPermission), syscall.EACCES, slog.LevelInfo, true},
		{"no right, by the gate", &guard.Denied{}, syscall.EACCES, slog.LevelInfo, true},
		{"no right, from the disk", path(syscall.EACCES), syscall.EACCES, slog.LevelInfo, true},
		{"offered to nobody", &guard.Denied{Errno: syscall.EPERM}, syscall.EPERM, slog.LevelDebug, true},
		{"beyond the limit", &guard.Denied{Errno: syscall.EFBIG}, syscall.EFBIG, slog.LevelInfo, true},
		{"decided job", &virtual.Refusal{Reason: "decided", Err: syscall.EROFS}, syscall.EROFS, slog.LevelInfo, true},
		{"control write", &virtual.Refusal{Reason: "only yes is understood", Err: syscall.EINVAL}, syscall.EINVAL, slog.LevelInfo, true},
		{"control write, by sentinel", &virtual.Refusal{Reason: "no", Err: iofs.ErrInvalid}, syscall.EINVAL, slog.LevelInfo, true},
		{"refusal of what exists", &virtual.Refusal{Reason: "there already", Err: iofs.ErrExist}, syscall.EEXIST, slog.LevelDebug, true},
		{"refusal without a kind", &virtual.Refusal{Reason: "no"}, syscall.EIO, slog.LevelError, true},
		{"there", wrap(iofs.ErrExist), syscall.EEXIST, slog.LevelDebug, false},
		{"not a folder", path(syscall.ENOTDIR), syscall.ENOTDIR, slog.LevelDebug, false},
		{"a folder", path(syscall.EISDIR), syscall.EISDIR, slog.LevelDebug, false},
		{"not empty", path(syscall.ENOTEMPTY), syscall.ENOTEMPTY, slog.LevelDebug, false},
		{"other mount", path(syscall.EXDEV), syscall.EXDEV, slog.LevelDebug, false},
		{"no attribute", path(syscall.ENODATA), syscall.ENODATA, slog.LevelDebug, false},
		{"cancelled", wrap(context.Canceled), syscall.EINTR, slog.LevelDebug, false},
		{"too late", wrap(context.DeadlineExceeded), syscall.EINTR, slog.LevelDebug, false},
		{"journal, disk full", fmt.Errorf("record write a@x.org/f: %w", path(syscall.ENOSPC)), syscall.ENOSPC, slog.LevelError, true},
		{"journal, else", wrap(errors.New("record: page is broken")), syscall.EIO, slog.LevelError, true},
		{"disk", path(syscall.EIO), syscall.EIO, slog.LevelError, true},
		{"anything", errors.New("what is this"), syscall.EIO, slog.LevelError, true},
		{"closed", wrap(iofs.ErrClosed), syscall.EBADF, slog.LevelDebug, false},
		{"moved on", wrap(datasite.ErrStale), syscall.ESTALE, slog.LevelInfo, false},
		{"not offered", wrap(errors.ErrUnsupported), syscall.EOPNOTSUPP, slog.LevelDebug, false},
		{"name", wrap(datasite.ErrName), syscall.EINVAL, slog.LevelInfo, true},
		{"name that is not UTF-8", badName("a\xff"), syscall.EILSEQ, slog.LevelInfo, true},
		{"long name", badName(strings.Repeat("é", 128)), syscall.ENAMETOOLONG, slog.LevelInfo, true},
		{"two errors", errors.Join(iofs.ErrPermission, syscall.EIO), syscall.EIO, slog.LevelError, true},
	}
	x := errnos{rules()}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			errno, level := x.answer(tt.err)
			if errno != tt.want || level != tt.level {
				t.Errorf("got %v at %v, want %v at %v", errno, level, tt.want, tt.level)
			}
			if got := refusal(tt.err, errno); got != tt.tell {
				t.Errorf("refusal: %v, want %v", got, tt.tell)
			}
		})
	}
	if errno, _ := x.answer(nil); errno != 0 {
		t.Errorf("no error: %v", errno)
	}
	if err := badName("good"); err != nil {
		t.Errorf("a good name: %v", err)
	}
}

// TestRetries: a caller is sent to resolve its path anew once, and then told the plain truth.
func TestRetries(t *testing.T) {
	var r retries
	for round := range 3 {
		if err := r.once(1, syscall.ESTALE); err != syscall.ESTALE {
			t.Errorf("round %d: first: %v", round, err)
		}
		if err := r.once(2, syscall.ESTALE); err != syscall.ESTALE {
			t.Errorf("round %d: another caller: %v", round, err)
		}
		if err := r.once(1, syscall.ESTALE); err != syscall.ENOENT {
			t.Errorf("round %d: second: %v", round, err)
		}
		if err := r.once(2, nil); err != nil {
			t.Errorf("round %d: success: %v", round, err)
		}
	}
	if r.some.Load() || len(r.told) != 0 {
		t.Errorf("%d are remembered", len(r.told))
	}
	for tid := range uint32(3 * maxRetries) {
		if err := r.once(tid, syscall.ESTALE); err != syscall.ESTALE {
			t.Fatal(err)
		}
	}
	if len(r.told) > maxRetries {
		t.Errorf("%d are remembered", len(r.told))
	}
}
