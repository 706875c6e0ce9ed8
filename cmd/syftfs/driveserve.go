package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/openmined/syftfs/cmd/internal/daemon"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/sync/driveserver"
	"github.com/spf13/cobra"
)

const defaultListen = "127.0.0.1:8753"

func (d *localDrive) serveCmd() *cobra.Command {
	var listen string
	var detach, verbose bool
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve the local drive until Ctrl-C",
		Long: "serve answers on one port of this machine: Drive and its sign-in, the proxy for clients that know no address but Google's, and what the other drive\n" +
			"commands ask. Whatever was answered is on disk: after a crash or kill -9 everything is there again. Keep the port: tokens and clients name it.\n" +
			"Only addresses of this machine are taken, because tokens travel unprotected.",
		Example: "  syftfs drive serve\n  syftfs drive serve --detach\n  syftfs drive serve --dir ~/drive --listen 127.0.0.1:9000 --verbose",
		Args:    exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if host, _, err := net.SplitHostPort(listen); err != nil || !loopback(host) {
				return usage{fmt.Errorf("--listen %s: say an address of this machine and a port, such as %s (port 0: any that is free)", listen, defaultListen)}
			}
			if detach {
				return d.detach(c.Context(), listen, verbose)
			}
			level := slog.LevelWarn
			if verbose {
				level = slog.LevelDebug
			}
			return d.serve(c.Context(), listen, slog.New(slog.NewTextHandler(d.err, &slog.HandlerOptions{Level: level})))
		},
	}
	c.Flags().StringVar(&listen, "listen", defaultListen, "address and port")
	c.Flags().BoolVar(&detach, "detach", false, "go on in the background")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "log what happens, every fault on demand included")
	return c
}

// free refuses a drive that is served already.
func (d *localDrive) free(dir string) error {
	now, err := d.running(dir)
	if err == nil {
		return d.inUse(dir, now)
	}
	if e, ok := errors.AsType[*service.Error](err); ok && e.Code == service.NotRunning {
		return nil
	}
	return err
}

func (d *localDrive) detach(ctx context.Context, listen string, verbose bool) error {
	dir, err := d.folder()
	if err != nil {
		return err
	}
	if err := d.free(dir); err != nil {
		return err
	}
	if err := prepare(dir); err != nil {
		return err
	}
	args := []string{"drive", "serve", "--listen", listen}
	if d.typed != "" {
		args = append(args, "--dir", dir)
	}
	if verbose {
		args = append(args, "--verbose")
	}
	if err := daemon.DetachCommand(ctx, filepath.Join(dir, serveLog), args...); err != nil {
		return err
	}
	now, err := d.running(dir)
	if err != nil {
		return err
	}
	return d.ready(*now, "Stop it with: "+d.command(dir, "stop"))
}

// serve answers until ctx ends.
func (d *localDrive) serve(ctx context.Context, listen string, log *slog.Logger) (err error) {
	announced := false
	defer func() {
		if !announced {
			daemon.Announce(err)
		}
	}()
	dir, err := d.folder()
	if err != nil {
		return err
	}
	if err := d.free(dir); err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return &service.Error{Code: service.Conflict, Message: listen + " is taken by another program: stop it, or choose another port with --listen 127.0.0.1:PORT", Err: err}
	}
	if err != nil {
		return &service.Error{Code: service.BadInput, Message: fmt.Sprintf("--listen: %v", err), Err: err}
	}
	defer l.Close() // Serve closed it, if it came so far
	if err := prepare(dir); err != nil {
		return err
	}
	rec, err := d.lockRecord(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rec.Close()) }()
	s, err := openStore(driveserver.Config{Dir: dir, Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	now := served{Address: "http://" + l.Addr().String(), Dir: dir, PID: os.Getpid(), Started: time.Now().UTC(), CA: s.CAFile()}
	if err := rec.write(now); err != nil {
		return err
	}
	announced = true
	daemon.Announce(nil)
	if !daemon.Detached() {
		if err := d.ready(now, "Ctrl-C stops it; everything is kept."); err != nil {
			return err
		}
	}
	return s.Serve(ctx, l)
}

// openStore opens a store. Its database answers pages that make no sense with a panic, and a file that was cut with a fault: both are errors
// here, after which this process has to end, because it still holds the file.
func openStore(c driveserver.Config) (s *driveserver.Server, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, fmt.Errorf("%s is damaged (%v): put a copy of the whole folder back, or serve a new one with --dir", filepath.Join(c.Dir, databaseFile), p)
		}
	}()
	s, err = driveserver.Open(c)
	if errors.Is(err, driveserver.ErrInUse) {
		return nil, &service.Error{Code: service.Busy, Message: err.Error() + " (`syftfs drive check` uses it too)", Err: err}
	}
	return s, err
}

// ready tells where the drive is, and how to use it.
func (d *localDrive) ready(now served, end string) error {
	return d.show(now, func(w io.Writer) {
		env := fmt.Sprintf("eval \"$(%s)\"", d.command(now.Dir, "proxy-env"))
		rows := [][]string{
			{"", "new account", d.command(now.Dir, "accounts add you@example.org --token token.json")},
			{"", "datasite", "syftfs init --email you@example.org --drive local:" + now.Address + " --token token.json"},
			{"", "rclone", d.command(now.Dir, "token you@example.org --format rclone") + " >> rclone.conf; " + env},
			{"", "Python", env + "; the client reads token.json"},
			{"", "certificate", now.CA + ", trusted by whoever uses the proxy " + now.Address},
		}
		fmt.Fprintf(w, "Serving the local drive at %s, kept in %s.\n", now.Address, clean(now.Dir, false))
		table(w, rows)
		fmt.Fprintln(w, end)
	})
}

func (d *localDrive) statusCmd() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Tell where the local drive is, and how to use it", Example: "  syftfs drive status --json", Args: exactly(0),
		RunE: func(*cobra.Command, []string) error {
			dir, err := d.folder()
			if err != nil {
				return err
			}
			now, err := d.running(dir)
			if err != nil {
				return err
			}
			return d.ready(*now, fmt.Sprintf("Process %d, since %s. Stop it with: %s", now.PID, now.Started.Local().Format(time.DateTime), d.command(dir, "stop")))
		},
	}
}

func (d *localDrive) stopCmd() *cobra.Command {
	return &cobra.Command{
		Use: "stop", Short: "Stop the local drive; everything stays", Example: "  syftfs drive stop", Args: exactly(0),
		Long: "stop ends the server, wherever it was started, and returns when it has ended. Requests under way are cut; what was answered is kept.",
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := d.folder()
			if err != nil {
				return err
			}
			now, err := d.running(dir)
			if err != nil {
				return err
			}
			if err := d.stop(c.Context(), dir, now); err != nil {
				return err
			}
			return d.show(map[string]any{"dir": dir, "pid": now.PID}, func(w io.Writer) { fmt.Fprintln(w, "Stopped; everything is kept in", clean(dir, false)) })
		},
	}
}

// stopLimit is how long stop waits for the server to end.
const stopLimit = time.Minute

func (d *localDrive) stop(ctx context.Context, dir string, now *served) error {
	p, err := os.FindProcess(now.PID)
	if err != nil {
		return err
	}
	defer p.Release()
	// The process is held by now: if the lock is still there, it is the one that holds it and not a later one with its number.
	if again, err := d.running(dir); err != nil || again.PID != now.PID {
		return err
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop process %d: %w", now.PID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for d.free(dir) != nil {
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d was asked to stop and still runs: %w", now.PID, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}
