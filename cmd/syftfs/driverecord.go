package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/openmined/syftfs/cmd/internal/service"
	"golang.org/x/sys/unix"
)

// Files in the folder of a drive. The others are the server's own.
const (
	recordFile   = "server.json"
	databaseFile = "drive.db"
	secretFile   = "admin.secret"
	serveLog     = "serve.log"
)

// served is what server.json says about the server that runs.
type served struct {
	Address string    `json:"address"` // http://127.0.0.1:PORT
	Dir     string    `json:"dir"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	CA      string    `json:"ca"` // file of the certificate that clients of the proxy trust
}

// record is server.json while its server runs. The process keeps a lock on the file as long as it lives, so that whoever reads it knows that
// what it says is true: not the address of a server that was killed, whose port a stranger may have by now.
type record struct{ file *os.File }

// lockRecord takes the lock and empties the file; until write it means "is starting". A server that runs: Conflict.
func (d *localDrive) lockRecord(dir string) (*record, error) {
	f, err := os.OpenFile(filepath.Join(dir, recordFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}); err != nil {
		err = fmt.Errorf("lock %s: %w", f.Name(), err)
		if errors.Is(err, unix.EAGAIN) {
			err = d.inUse(dir, nil)
		}
		return nil, errors.Join(err, f.Close())
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &record{f}, nil
}

func (r *record) write(s served) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = r.file.WriteAt(raw, 0)
	return err
}

// Close gives up the lock. The next server empties the file.
func (r *record) Close() error { return r.file.Close() }

// inUse is the refusal of a second server; now may be nil.
func (d *localDrive) inUse(dir string, now *served) error {
	text := fmt.Sprintf("the drive in %s is served already", dir)
	if now != nil {
		text += fmt.Sprintf(", at %s by process %d", now.Address, now.PID)
	}
	return &service.Error{Code: service.Conflict, Message: text + ": stop it with `" + d.command(dir, "stop") + "`, or serve another folder with --dir and --listen"}
}

// running reads who serves the drive in dir. Nobody: NotRunning; somebody who is not ready: Busy.
func (d *localDrive) running(dir string) (*served, error) {
	none := &service.Error{Code: service.NotRunning, Message: fmt.Sprintf("no drive is served from %s: start it with `%s`", dir, d.command(dir, "serve --detach"))}
	f, err := os.Open(filepath.Join(dir, recordFile))
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, none
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lock := &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, lock); err != nil {
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	if lock.Type == unix.F_UNLCK {
		return nil, none
	}
	raw, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	if len(raw) == 0 {
		return nil, &service.Error{Code: service.Busy, Message: fmt.Sprintf("the drive in %s is about to start or to stop: try again in a moment", dir)}
	}
	var s served
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	if u, err := url.Parse(s.Address); err != nil || !loopback(u.Hostname()) {
		return nil, fmt.Errorf("%s: %q is not an address of this machine", f.Name(), s.Address)
	}
	return &s, nil
}

// loopback tells whether a host is this machine and nobody else can reach it.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
