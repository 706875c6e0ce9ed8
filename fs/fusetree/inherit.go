package fusetree

import (
	"errors"
	iofs "io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// keepDevices makes this process keep its descriptors of /dev/fuse to itself. The library opens them without that, and whoever
// inherits one, a job among them, could answer for the mount, which would also live on when this process is killed.
func keepDevices() error {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range list {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			if errors.Is(err, unix.EBADF) || errors.Is(err, iofs.ErrNotExist) {
				continue // the one that read the list, and what was closed since
			}
			return err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(10, 229) {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}
