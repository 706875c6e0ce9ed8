package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/openmined/syftfs/cmd/internal/httpapi"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func (a *app) jobSubmit() *cobra.Command {
	var q service.Submission
	c := &cobra.Command{
		Use: "submit DIR --to OWNER", Short: "Copy a job into a peer's jobs folder and submit it at once",
		Long: "submit copies DIR, a folder with code or a single .py or .sh file, to OWNER/jobs/NAME in your mount, and submits it without the time that a copy by hand\n" +
			"has to lie still. The same by hand: cp -r DIR ~/SyftBox/OWNER/jobs/. Until OWNER decides you may submit again under the same name: files are\n" +
			"replaced, and what DIR no longer has stays until you remove it there. Interrupted, what was copied is held back and sent to nobody.",
		Example: "  syftfs job submit analysis --to owen@cancer-research.example\n  syftfs job submit mean.py --to owen@cancer-research.example --name average.py", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := readPlan(args[0], &q)
			if err != nil {
				return err
			}
			st, err := ask(c.Context(), a, httpapi.Status, struct{}{})
			if err != nil {
				return err
			}
			p.mount = st.Mount
			p.told = &progress{to: a.err, live: terminal(a.err), now: time.Now, total: p.bytes, files: len(p.members)}
			if err := p.copy(c.Context(), filepath.Join(st.Mount, q.Owner, "jobs"), q.Name); err != nil {
				return err
			}
			done, err := ask(c.Context(), a, httpapi.JobSubmit, q)
			if err != nil {
				return err
			}
			return a.show(done, func(w io.Writer) { submitted(w, done) })
		}}
	c.Flags().StringVar(&q.Owner, "to", "", "the peer whose data the job is for")
	c.Flags().StringVar(&q.Name, "name", "", "name of the job (default: that of DIR)")
	return c
}

func submitted(w io.Writer, done service.Submitted) {
	fmt.Fprintf(w, "Submitted %s to %s, revision %d: %s in %d files.\n  digest %s\n", clean(done.Name, false), clean(done.Owner, false), done.Revision, size(done.Size), done.Files, done.Digest)
	for _, n := range done.LeftOut {
		fmt.Fprintln(w, "  left out:", clean(n, false))
	}
	for _, n := range done.Findings {
		fmt.Fprintln(w, "  advice:", clean(n, false))
	}
}

// plan is what is to be copied: everything is looked at before anything is copied.
type plan struct {
	from    string
	members []member // folders before what is in them
	bytes   int64
	mount   string
	told    *progress
}

type member struct {
	rel  string // "." is what was named
	mode iofs.FileMode
	size int64
}

// readPlan checks what was typed, and looks at what is to be copied.
func readPlan(from string, q *service.Submission) (*plan, error) {
	q.Owner = strings.ToLower(strings.TrimSpace(q.Owner))
	if !strings.Contains(q.Owner, "@") || strings.Contains(q.Owner, "/") {
		return nil, usage{errors.New("say for whose data it is: --to OWNER, an e-mail address")}
	}
	from, err := filepath.Abs(from)
	if err != nil {
		return nil, err
	}
	if q.Name == "" {
		q.Name = filepath.Base(from)
	}
	if q.Name == "/" || strings.Contains(q.Name, "/") || strings.HasPrefix(q.Name, ".") {
		return nil, usage{fmt.Errorf("--name: %q is no name of a job: it has no slash, and does not begin with a dot", q.Name)}
	}
	p := &plan{from: from}
	err = filepath.WalkDir(from, func(path string, e iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path != from && service.LeftOut(e.Name()) {
			if e.IsDir() {
				return iofs.SkipDir
			}
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if !info.IsDir() && !info.Mode().IsRegular() {
			return usage{fmt.Errorf("%s is neither a file nor a folder (%s): a job has no links and no devices; replace it by what it stands for", path, info.Mode().Type())}
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		p.members = append(p.members, member{rel, info.Mode(), info.Size()})
		if info.Mode().IsRegular() {
			p.bytes += info.Size()
		}
		return nil
	})
	return p, err
}

// copy copies into the folder jobs/ of a peer, with the operations that cp uses. What it copies is held back until it is submitted.
func (p *plan) copy(ctx context.Context, jobs, name string) error {
	if _, err := os.Stat(jobs); err != nil {
		if errors.Is(err, iofs.ErrNotExist) {
			return &service.Error{Code: service.NotFound, Field: "owner",
				Message: fmt.Sprintf("there is no %s: its owner is no accepted peer (`syftfs peers list`)", jobs), Err: err}
		}
		return err
	}
	to := filepath.Join(jobs, name)
	defer p.told.end()
	begun := time.Now()
	for i, m := range p.members {
		err := context.Cause(ctx)
		if err == nil {
			err = p.one(ctx, m, filepath.Join(to, m.rel), i == 0)
		}
		switch {
		case err == nil:
			p.told.done++
		case ctx.Err() != nil:
			return fmt.Errorf("interrupted; what was copied is in %s, held back, and was sent to nobody: submit it again, or remove it: %w", to, err)
		default:
			return p.explained(err, name, begun)
		}
	}
	return nil
}

// holdAttr keeps a draft from being submitted by itself.
const holdAttr = "user.syft.hold"

// one copies one file, or makes one folder.
func (p *plan) one(ctx context.Context, m member, to string, first bool) (err error) {
	hold := func() error {
		if !first {
			return nil
		}
		err := unix.Setxattr(to, holdAttr, []byte("1"), 0)
		if err != nil {
			return &iofs.PathError{Op: "hold back", Path: to, Err: err}
		}
		return nil
	}
	if m.mode.IsDir() {
		if err := os.Mkdir(to, m.mode.Perm()|0o700); err != nil && !errors.Is(err, iofs.ErrExist) {
			return err
		}
		return hold()
	}
	from, err := os.Open(filepath.Join(p.from, m.rel))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, m.mode.Perm()|0o600)
	if err != nil {
		return err
	}
	if err = hold(); err == nil {
		_, err = io.CopyBuffer(struct{ io.Writer }{f}, &counted{ctx, from, p.told}, make([]byte, 1<<20))
	}
	return errors.Join(err, f.Close())
}

// counted reads until the context ends, and tells how far it is.
type counted struct {
	ctx  context.Context
	from io.Reader
	told *progress
}

func (c *counted) Read(b []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	n, err := c.from.Read(b)
	c.told.add(int64(n))
	return n, err
}

// explained adds to an error of the mount what it said about it.
func (p *plan) explained(err error, name string, since time.Time) error {
	text, rerr := os.ReadFile(filepath.Join(p.mount, ".syft", "last-error"))
	if rerr != nil {
		return err // of a mount that says nothing
	}
	lines := strings.SplitN(strings.TrimSpace(string(text)), "\n", 3)
	if len(lines) < 3 || !strings.Contains(lines[1], "/jobs/"+name) {
		return err
	}
	if at, perr := time.Parse(time.RFC3339, lines[0]); perr != nil || at.Before(since.Truncate(time.Second)) {
		return err
	}
	return fmt.Errorf("%w: %s", err, lines[2])
}

// progress tells how far a copy is that takes more than a second: on a terminal in one line that is renewed, else now and then in a new one.
type progress struct {
	to    io.Writer
	live  bool
	now   func() time.Time
	total int64
	files int

	bytes int64
	done  int // files and folders
	next  time.Time
	shown bool
}

const (
	silentFor   = time.Second
	renewLive   = 200 * time.Millisecond
	renewInText = 10 * time.Second
)

func (p *progress) add(n int64) {
	p.bytes += n
	now := p.now()
	if p.next.IsZero() {
		p.next = now.Add(silentFor)
	}
	if now.Before(p.next) {
		return
	}
	text := fmt.Sprintf("copying: %s of %s, %d of %d files and folders", size(p.bytes), size(p.total), p.done, p.files)
	if p.live {
		fmt.Fprintf(p.to, "\r%s\x1b[K", text)
		p.next = now.Add(renewLive)
	} else {
		fmt.Fprintln(p.to, text)
		p.next = now.Add(renewInText)
	}
	p.shown = true
}

// end takes the renewed line away.
func (p *progress) end() {
	if p.shown && p.live {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}
