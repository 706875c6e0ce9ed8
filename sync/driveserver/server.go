// Package driveserver is a local, persistent server that speaks Google Drive v3 for several accounts: files, sharing, search, uploads,
// the change feed, sign-in, quota counts and faults on demand, with everything on disk. It must not know our own Drive client or any
// other package of this module, so that agreement between the two sides means something. cmd/syftfs and tests may import it.
package driveserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Config is for Open.
type Config struct {
	Dir    string           // everything that is kept; made with mode 0700
	Log    *slog.Logger     // nil discards
	Now    func() time.Time // nil is time.Now
	Remote bool             // Serve also takes a listener that is not on loopback

	// Fault may be nil. Its steps are blob:write, blob:sync, blob:rename, meta:commit, meta:done, upload:keep; an error makes that
	// step fail, and the request with it.
	Fault interface{ Before(op string) error }
}

// Server is an open store and the handlers on it. All methods may be called concurrently.
type Server struct {
	cfg   Config
	log   *slog.Logger
	store *store
	blobs *blobs
	ca    *authority
	admin string // the secret of the admin endpoint

	// write is held by the one transaction under way; mu is inside it and is held for writing only while a committed transaction is
	// applied to st. Whoever holds either may read st. No disk is waited for while mu is held for writing.
	write sync.Mutex
	mu    sync.RWMutex
	st    *state

	uploads  uploadLocks
	counters counters
	faults   faultBook
	grants   grantDesk // OAuth codes under way; in memory only
	proxied  *connListener
	handler  http.Handler // everything, for the listener
	inner    http.Handler // without the proxy and the admin endpoint, for what arrives through the proxy

	quit   context.Context
	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// ErrInUse is returned by Open when another process has the store open.
var ErrInUse = errors.New("the local drive is in use by another process; stop that one first")

// Open opens the store in c.Dir, or makes it. Close it when done.
func Open(c Config) (*Server, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("local drive: %w", err)
	}
	s := &Server{cfg: c, log: c.Log}
	s.quit, s.cancel = context.WithCancel(context.Background())
	var err error
	if s.store, s.st, err = openStore(filepath.Join(c.Dir, "drive.db")); err != nil {
		return nil, fmt.Errorf("local drive in %s: %w", c.Dir, err)
	}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("local drive in %s: %w", c.Dir, err), s.store.close())
	}
	s.proxied = newConnListener()
	s.inner = s.routes()
	s.handler = s.outer(s.inner)
	s.wait.Go(s.serveProxied)
	return s, nil
}

// prepare makes or reads what lies beside the database.
func (s *Server) prepare() (err error) {
	if s.blobs, err = openBlobs(s.cfg.Dir, s.cfg.Fault); err != nil {
		return err
	}
	if err := s.blobs.sweep(s.st); err != nil {
		return err
	}
	if s.admin, err = secretFile(filepath.Join(s.cfg.Dir, "admin.secret")); err != nil {
		return err
	}
	if s.ca, err = openAuthority(s.cfg.Dir, s.cfg.Now()); err != nil {
		return err
	}
	s.counters.load(s.st.counts)
	s.faults.now = s.cfg.Now
	s.faults.setSwitches(*s.st.sw)
	s.grants.now = s.cfg.Now
	if len(s.st.clients) > 0 {
		return nil
	}
	_, err = s.AddClient("syftfs")
	return err
}

// Handler answers every request that may arrive at the listener: Drive, sign-in, CONNECT, and the admin endpoint.
func (s *Server) Handler() http.Handler { return s.handler }

// CAFile is the certificate to trust for whoever comes through the proxy, in PEM.
func (s *Server) CAFile() string { return s.ca.file }

// AdminSecret is what the admin endpoint wants as bearer token; it also lies in admin.secret in the folder of the store.
func (s *Server) AdminSecret() string { return s.admin }

// Serve answers on l until ctx ends or the server is closed, and closes l. It refuses a listener that is not on loopback unless
// Config.Remote says so.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if a, ok := l.Addr().(*net.TCPAddr); !s.cfg.Remote && (!ok || !a.IP.IsLoopback()) {
		return errors.Join(fmt.Errorf("local drive: %s is not a loopback address; tokens would travel unprotected", l.Addr()), l.Close())
	}
	srv := s.newHTTPServer(s.handler)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.quit, cancel)()
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("local drive: %w", err)
	case <-ctx.Done():
	}
	err := srv.Close()
	<-done
	return err
}

// newHTTPServer has the limits that every listener of ours shares. There is no limit on the time of a body: uploads are long.
func (s *Server) newHTTPServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
}

// Close ends everything under way and closes the store.
func (s *Server) Close() error {
	s.cancel()
	perr := s.proxied.Close()
	s.wait.Wait()
	s.write.Lock()
	defer s.write.Unlock()
	return errors.Join(perr, s.saveCounters(), s.store.close())
}

// clock is the time that the server shows: that of Config.Now, moved by the switch ClockOffset.
func (s *Server) clock() time.Time {
	return s.cfg.Now().Add(time.Duration(s.faults.switches().ClockOffset) * time.Millisecond)
}
