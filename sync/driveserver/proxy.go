package driveserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// proxiedHosts are the hosts that this server plays for clients which cannot be told another address.
var proxiedHosts = []string{"www.googleapis.com", "oauth2.googleapis.com", "accounts.google.com", "openidconnect.googleapis.com", "drive.googleapis.com", "content.googleapis.com"}

var proxiedDomains = []string{"googleapis.com", "accounts.google.com"}

// outer adds to the API what only the listener itself offers: the proxy and the admin endpoint.
func (s *Server) outer(inner http.Handler) http.Handler {
	admin := s.adminRoutes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodConnect:
			s.connect(w, r)
		case r.URL.IsAbs():
			errReason(http.StatusForbidden, "forbidden", "This proxy takes CONNECT only.").send(w)
		case strings.HasPrefix(r.URL.Path, adminPath):
			admin.ServeHTTP(w, r)
		default:
			inner.ServeHTTP(w, r)
		}
	})
}

// connect answers CONNECT: for Google's hosts it speaks TLS itself, everything else it refuses.
func (s *Server) connect(w http.ResponseWriter, r *http.Request) {
	host, port, err := net.SplitHostPort(r.Host)
	host = lower(host)
	if err != nil || port != "443" || !slices.Contains(proxiedHosts, host) {
		errReason(http.StatusForbidden, "forbidden", "This proxy leads to the local drive only.").send(w)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		errReason(http.StatusNotImplemented, "notImplemented", "CONNECT needs HTTP/1.1.").send(w)
		return
	}
	if _, err := conn.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err != nil {
		s.closeConn(conn)
		return
	}
	s.proxied.give(tls.Server(&prefixedConn{Conn: conn, first: io.MultiReader(io.LimitReader(buffered, int64(buffered.Reader.Buffered())), conn)}, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.ca.leaf(host, s.cfg.Now()) },
	}))
}

func (s *Server) closeConn(c net.Conn) {
	if err := c.Close(); err != nil {
		s.log.Debug("closing a connection of the proxy", "error", err)
	}
}

// serveProxied answers what arrives through the proxy, until the server is closed.
func (s *Server) serveProxied() {
	srv := s.newHTTPServer(s.inner)
	defer context.AfterFunc(s.quit, func() { _ = srv.Close() })() // its listener cannot fail to close
	if err := srv.Serve(s.proxied); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		s.log.Error("the proxy ended", "error", err)
	}
}

// prefixedConn reads first what the HTTP server had already read.
type prefixedConn struct {
	net.Conn
	first io.Reader
}

func (c *prefixedConn) Read(p []byte) (int, error) { return c.first.Read(p) }

// connListener is a listener to which connections are given.
type connListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newConnListener() *connListener {
	return &connListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

// give hands a connection over, and closes it when nobody listens any more.
func (l *connListener) give(c net.Conn) {
	select {
	case l.conns <- c:
	case <-l.done:
		_ = c.Close() // nobody is there to hear of it
	}
}

func (l *connListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, fmt.Errorf("proxy: %w", net.ErrClosed)
	}
}

func (l *connListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *connListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
