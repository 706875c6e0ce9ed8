package httpapi

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/openmined/syftfs/cmd/internal/service"
	"golang.org/x/sys/unix"
)

// Server serves the API on one unix socket.
type Server struct {
	path string
	http *http.Server
	done chan error
}

// Serve listens at path; its folder is made, for the owner only. A socket that a crash left is replaced: the caller
// holds the datasite's lock, so no other process serves it.
func Serve(path string, s *service.Service) (*Server, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return nil, err
	}
	var l net.Listener
	err := short(path, func(p string) (err error) {
		l, err = net.Listen("unix", p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", path, err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // the name may be a short form that means nothing later
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	srv := &Server{path: path, done: make(chan error, 1)}
	srv.http = &http.Server{Handler: Handler(s), ReadHeaderTimeout: 10 * time.Second,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, callerKey{}, prove(c))
		}}
	go func() { srv.done <- srv.http.Serve(l) }()
	return srv, nil
}

// Close stops listening, waits for what is being answered until ctx ends, and removes the socket.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	if serr := <-s.done; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	if rerr := os.Remove(s.path); rerr != nil && !errors.Is(rerr, iofs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

// prove tells who is at the other end. Only our own uid in our own user namespace is the owner: a process in a user
// namespace of its own (a job, a confined view) shows the same uid and is nobody here. What cannot be told is refused.
func prove(c net.Conn) service.Caller {
	nobody := func(why string) service.Caller { return service.Caller{Via: "socket", Reason: why} }
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return nobody("connection")
	}
	var p peer
	var perr error
	if err := raw.Control(func(fd uintptr) { p, perr = peerOf(int(fd)) }); err != nil || perr != nil {
		return nobody("connection")
	}
	defer p.close()
	if int(p.cred.Uid) != os.Getuid() {
		return nobody("uid")
	}
	ours, err := os.Readlink("/proc/self/ns/user")
	if err != nil {
		return nobody("namespace")
	}
	theirs, err := os.Readlink("/proc/" + strconv.Itoa(int(p.cred.Pid)) + "/ns/user")
	if err != nil || ours != theirs || !p.alive() {
		return nobody("namespace")
	}
	return service.Caller{Root: true, Via: "socket"}
}

// peer is the process that connected.
type peer struct {
	cred *unix.Ucred
	fd   int // its process handle; -1 where the kernel has none
}

func peerOf(sock int) (peer, error) {
	cred, err := unix.GetsockoptUcred(sock, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return peer{}, err
	}
	fd, err := unix.GetsockoptInt(sock, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	if errors.Is(err, unix.ENOPROTOOPT) {
		return peer{cred, -1}, nil // before Linux 6.5
	}
	if err != nil {
		return peer{}, err // it ended
	}
	return peer{cred, fd}, nil
}

// alive reports whether the process is still there, so that what was read under its pid was its own.
func (p peer) alive() bool { return p.fd < 0 || unix.PidfdSendSignal(p.fd, 0, nil, 0) == nil }

func (p peer) close() {
	if p.fd >= 0 {
		_ = unix.Close(p.fd)
	}
}

// short calls fn with a name for path that fits a socket address (108 bytes): a long one goes through a descriptor of its folder.
func short(path string, fn func(string) error) error {
	if len(path) < 100 {
		return fn(path)
	}
	dir, err := os.OpenFile(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	return fn(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
}
