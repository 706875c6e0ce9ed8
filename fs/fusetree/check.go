package fusetree

import (
	"errors"
	iofs "io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Lack is something that this machine needs before it can mount, with the remedy.
type Lack struct {
	What   string
	Remedy string
	Err    error
}

func (l *Lack) Error() string { return l.What + ": " + l.Remedy }

// Unwrap gives what the system said.
func (l *Lack) Unwrap() error { return l.Err }

// Check reports whether this process can mount: the device is there and may be opened, and the privilege or the helper is
// there. The error is a *Lack. It mounts nothing.
func Check() error { return check("/dev/fuse", mayMount(), os.Geteuid() == 0, fusermount) }

func check(device string, privileged, root bool, helper func() (string, error)) error {
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		unix.Close(fd)
	case errors.Is(err, iofs.ErrNotExist):
		return &Lack{What: device + " does not exist", Remedy: "load the kernel module (modprobe fuse); in a container start it with --device /dev/fuse", Err: err}
	case errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ENODEV):
		return &Lack{What: "the kernel does not answer on " + device, Remedy: "load the kernel module (modprobe fuse)", Err: err}
	case errors.Is(err, iofs.ErrPermission) && root:
		return &Lack{What: device + " may not be opened", Remedy: "in a container start it with --device /dev/fuse --cap-add SYS_ADMIN", Err: err}
	case errors.Is(err, iofs.ErrPermission):
		return &Lack{What: device + " may not be opened by this account", Remedy: "have the administrator run: chmod 666 " + device, Err: err}
	default:
		return &Lack{What: device + " cannot be opened", Remedy: err.Error(), Err: err}
	}
	if privileged {
		return nil
	}
	if root {
		return &Lack{What: "this root may not mount", Remedy: "in a container start it with --cap-add SYS_ADMIN", Err: syscall.EPERM}
	}
	_, err = helper()
	return err
}
