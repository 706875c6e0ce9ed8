//go:build long

package integration

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// disputedStem is how the files begin, below Owen's datasite, that both write at once.
const disputedStem = "open/q"

// startStep is the step before a job is started.
const startStep = "started:rename"

// closed writes a file in Owen's datasite until its close is acknowledged. It gives what the writer had read there just before, which it knew.
func (c *crashes) closed(e *end, rel, text string) (knew string, err error) {
	file := e.in(owen, rel)
	_, err = c.until("write "+rel, func() error {
		if r := e.acts.do(call{Op: "mkdir", Path: filepath.Dir(file), Mode: 0o755}); r.Errno != "" && r.Errno != "EEXIST" {
			return errors.New(r.Errno)
		}
		knew = string(e.acts.do(call{Op: "readfile", Path: file}).Data)
		if r := e.acts.do(call{Op: "writefile", Path: file, Data: []byte(text), Mode: 0o644}); r.Errno != "" {
			return errors.New(r.Errno)
		}
		return nil
	})
	return knew, err
}

// arrives writes a file at one end and waits for it at both.
func (c *crashes) arrives(from *end, rel, text string) error {
	if _, err := c.closed(from, rel, text); err != nil {
		return err
	}
	c.files[rel] = text
	for _, e := range c.both() {
		if _, err := c.until(rel+" at "+e.email, func() error { return e.holds(rel, text) }); err != nil {
			return err
		}
	}
	return nil
}

// holds is nil when a file of Owen's is this text.
func (e *end) holds(rel, text string) error {
	got, err := e.text(e.in(owen, rel))
	if err == nil && got != text {
		err = fmt.Errorf("it holds %q, not %q", got, text)
	}
	return err
}

// ownerWrites is walk 1: what the owner makes, changes and removes is so at the peer's.
func (c *crashes) ownerWrites(n int) error {
	kept, removed := fmt.Sprintf("shared/n%d/kept.txt", n), fmt.Sprintf("shared/n%d/removed.txt", n)
	for _, text := range []string{"one", "two"} {
		if err := c.arrives(c.owen, kept, fmt.Sprintf("%s of %d", text, n)); err != nil {
			return err
		}
	}
	if err := c.arrives(c.owen, removed, fmt.Sprintf("three of %d", n)); err != nil {
		return err
	}
	delete(c.files, removed)
	if _, err := c.until("remove", func() error {
		if r := c.owen.acts.do(call{Op: "unlink", Path: c.owen.in(owen, removed)}); r.Errno != "" && r.Errno != "ENOENT" {
			return errors.New(r.Errno)
		}
		return nil
	}); err != nil {
		return err
	}
	for _, e := range c.both() {
		if _, err := c.until("removed", func() error { return e.gone(e.in(owen, removed)) }); err != nil {
			return err
		}
	}
	return nil
}

// peerProposes is walk 2: what a peer writes is proposed, taken and archived; and of what both write at once both versions stay.
func (c *crashes) peerProposes(n int) error {
	if err := c.arrives(c.rachel, fmt.Sprintf("open/p%d.txt", n), fmt.Sprintf("proposed %d", n)); err != nil {
		return err
	}
	disputed := fmt.Sprintf(disputedStem+"%d.txt", n)
	if err := c.arrives(c.owen, disputed, fmt.Sprintf("agreed %d", n)); err != nil {
		return err
	}
	delete(c.files, disputed)
	c.open++
	ours, theirs := fmt.Sprintf("owen's %d", n), fmt.Sprintf("rachel's %d", n)
	if _, err := c.closed(c.owen, disputed, ours); err != nil {
		return err
	}
	knew, err := c.closed(c.rachel, disputed, theirs)
	if err != nil {
		return err
	}
	if _, err := c.until("both agree", func() error {
		a, err := c.owen.text(c.owen.in(owen, disputed))
		b, berr := c.rachel.text(c.rachel.in(owen, disputed))
		if err == nil && berr == nil && a != b {
			err = fmt.Errorf("Owen has %q, Rachel %q", a, b)
		}
		err = errors.Join(err, berr)
		if err == nil {
			err = errors.Join(c.owen.isSettled(c.open), c.rachel.isSettled(c.open))
		}
		if err == nil {
			err = c.keeps(disputed, theirs)
		}
		if err == nil && knew != ours { // else Rachel replaced what she had read
			err = c.keeps(disputed, ours)
		}
		return err
	}); err != nil {
		return err
	}
	c.files[disputed], err = c.owen.text(c.owen.in(owen, disputed))
	return err
}

// keeps is nil when a version of a file is at one of the ends, as the file or as a copy beside it.
func (c *crashes) keeps(rel, text string) error {
	stem := strings.TrimSuffix(filepath.Base(rel), filepath.Ext(rel))
	for _, e := range c.both() {
		dir := e.in(owen, filepath.Dir(rel))
		for _, name := range e.acts.do(call{Op: "readdir", Path: dir}).Names {
			if got, err := e.text(filepath.Join(dir, name)); strings.HasPrefix(name, stem+".") && err == nil && got == text {
				return nil
			}
		}
	}
	return fmt.Errorf("%q is in no version of %s", text, rel)
}

// jobGoes is walk 3: a job is copied into jobs/, arrives once, is approved, runs once at most, is held, and what is released is at the scientist's.
func (c *crashes) jobGoes(n int) error {
	name := fmt.Sprintf("job%d", n)
	c.jobs[name] = false
	began := c.steps(c.owen)[startStep]
	dir := c.rachel.project(name)
	copies, err := c.until("cp", func() error {
		out, err := c.rachel.command("cp", "-r", dir, c.rachel.in(owen, "jobs")+"/").CombinedOutput()
		if err != nil {
			return fmt.Errorf("cp: %w: %s", err, out)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var j job
	if _, err = c.until("the run", func() error {
		if j, err = tryAsk[job](c.owen.host, "job", "show", name); err != nil {
			return err
		}
		switch j.Status {
		case "pending":
			out, err := c.owen.command(c.owen.program, "job", "approve", name, j.Digest, "--dataset", "words").CombinedOutput()
			return fmt.Errorf("approved: %w: %s", err, out)
		case "done", "failed":
			return nil
		}
		return fmt.Errorf("it is %s: %s", j.Status, j.Message)
	}); err != nil {
		return err
	}
	ran := c.steps(c.owen)[startStep] - began
	if c.at.op == startStep && c.fired() {
		ran-- // that one did not come to it
	}
	if ran > 1 {
		return fmt.Errorf("the job was started %d times", ran)
	}
	if err := c.isWhole(name, copies); err != nil {
		return err
	}
	if _, err := c.until("its status at Rachel's", func() error {
		got, err := c.rachel.text(c.rachel.in(owen, "jobs", name, "status"))
		if err == nil && !strings.Contains(got, j.Status) {
			err = fmt.Errorf("it is %q, not %s", got, j.Status)
		}
		return err
	}); err != nil {
		return err
	}
	if j.Status == "failed" {
		if logs, _ := c.owen.run("job", "logs", name); c.deaths == 0 || j.ReturnCode == nil || *j.ReturnCode != -1 || !strings.Contains(logs, "interrupted") {
			return fmt.Errorf("it failed by itself: %+v: %s", j, logs)
		}
		return nil
	}
	if err := c.secret(); err != nil {
		return err
	}
	return c.release(name)
}

// isWhole checks that there is one such job with all its files.
func (c *crashes) isWhole(name string, copies int) error {
	var list []job
	_, err := c.until("the jobs", func() (err error) {
		list, err = tryAsk[[]job](c.owen.host, "job", "list")
		return err
	})
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(j job) bool { return j.Name != name })
	if len(list) != 1 || list[0].Revision > copies {
		return fmt.Errorf("after %d copies there are the jobs %+v", copies, list)
	}
	_, err = c.until("the job", func() error {
		j, err := tryAsk[job](c.owen.host, "job", "show", name)
		if err == nil && len(j.Files) != 3 {
			err = fmt.Errorf("it has the files %+v", j.Files)
		}
		return err
	})
	return err
}

// release moves the result out of what is held, until it is at Rachel's.
func (c *crashes) release(name string) error {
	c.jobs[name] = true
	held, outputs := c.owen.site("jobs", rachel, name, "held/word.txt"), c.owen.site("jobs", rachel, name, "outputs/word.txt")
	_, err := c.until("the result at Rachel's", func() error {
		if c.owen.there(held) == nil {
			if r := c.owen.acts.do(call{Op: "rename", Path: held, To: outputs}); r.Errno != "" {
				return fmt.Errorf("release: %s", r.Errno)
			}
		}
		got, err := c.rachel.text(c.rachel.in(owen, "jobs", name, "outputs/word.txt"))
		if err == nil && !strings.Contains(got, canary) {
			err = fmt.Errorf("it is %q", got)
		}
		return err
	})
	return err
}
