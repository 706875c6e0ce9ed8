//go:build long

package soak

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The places that are used. The names of files and folders differ, and folders with rules of their own are not moved.
var (
	tops    = []string{"t0", "t1", "t2"}
	inner   = "t0/inner"
	folders = []string{"d1", "d2", "d3"}
	names   = []string{"a", "b.txt", "c.csv"}
)

// oneRound is how long an exchange in between is waited for; it goes on by itself.
const oneRound = time.Second

// trouble is what happens at an operation besides: now and then something is exchanged, faults are set, or something is killed or started again.
func (w *world) trouble() {
	r := w.c.faults
	if s := w.sites[r.IntN(len(w.sites))]; r.IntN(w.rounds) == 0 && s.up != nil {
		ctx, cancel := context.WithTimeout(context.Background(), oneRound)
		if _, err := s.runUntil(ctx, "sync", "--wait"); err == nil {
			w.counts["whole rounds in between"]++
		} else {
			w.counts["rounds in between that failed or went on"]++
		}
		cancel()
	}
	if r.IntN(25) == 0 {
		w.drive.breakSome(w.c)
	}
	if r.IntN(120) == 0 {
		w.drive.crash()
	}
	for _, s := range w.sites {
		switch {
		case s.up == nil && r.IntN(10) == 0:
			s.open()
		case s.up != nil && r.IntN(200) == 0:
			s.kill()
			s.kills++
			if r.IntN(2) == 0 {
				s.open()
			}
		}
	}
}

func pick[T any](w *world, list []T) T { return list[w.c.ops.IntN(len(list))] }

func (w *world) anyFolder() string {
	top := pick(w, tops)
	switch w.c.ops.IntN(5) {
	case 0:
		return inner
	case 1, 2:
		return path.Join(top, pick(w, folders))
	}
	return top
}

func (w *world) anyFile(owner string) place {
	return place{owner, path.Join(w.anyFolder(), pick(w, names))}
}

func (w *world) anyLevels(owner string) map[string]level {
	levels := map[string]level{}
	for _, who := range people {
		if who != owner {
			levels[who] = pick(w, []level{none, read, read, create, write, write, write, admin})
		}
	}
	return levels
}

// operate does one operation.
func (w *world) operate() {
	s := pick(w, w.sites)
	owner := s.who
	if w.c.ops.IntN(5) < 2 && s.up != nil {
		owner = pick(w, people)
	}
	own := owner == s.who
	at := w.anyFile(owner)
	switch k := w.c.ops.IntN(100); {
	case k < 45:
		w.write(s, at, s.in(at.owner, at.rel), pick(w, []string{"change", "change", "append", "truncate"}))
	case k < 57:
		w.remove(s, at)
	case k < 67:
		w.rename(s, at, w.anyFile(owner))
	case k < 72 && own:
		w.moveFolder(s, path.Join(pick(w, tops), pick(w, folders)), path.Join(pick(w, tops), pick(w, folders)))
	case k < 75 && own:
		w.removeFolder(s, path.Join(pick(w, tops), pick(w, folders)))
	case k < 83 && own:
		w.grant(s)
	case k < 91 && own: // by another program, beside the mount
		w.write(s, at, s.backing(at.owner, at.rel), "beside")
	case k >= 91 && k < 93 && slices.Index(people, s.who) < slices.Index(people, owner): // who accepted takes jobs
		w.submit(s, owner)
	default:
		w.write(s, at, s.in(at.owner, at.rel), "change")
	}
}

// refused tells whether an operation was not done because it may not, or there is nothing; everything else is a failure.
func (w *world) refused(s *site, what string, at place, err error) bool {
	if err == nil {
		w.counts[what]++
		return false
	}
	for _, errno := range []error{syscall.EACCES, syscall.ENOENT, syscall.EEXIST, syscall.ENOTEMPTY, syscall.ENOTDIR, syscall.EISDIR} {
		if errors.Is(err, errno) {
			w.counts["refused: "+errno.Error()]++
			return true
		}
	}
	w.fail(at, "operation %d: %s by %s: %v", w.n, what, s.who, err)
	return true
}

// write changes a file, and makes it if it is not there. The file is open for writing between looking at it and writing, so that nothing comes between.
func (w *world) write(s *site, at place, file, how string) {
	w.folder(s, at.owner, file)
	old, content, err := w.change(s, file, how)
	if w.refused(s, how, at, err) {
		return
	}
	w.m.wrote(s.who, at, old, content)
	w.m.note(at, "%d: %s by %s: %.60q -> %.60q", w.n, how, s.who, old, content)
}

func (w *world) change(s *site, file, how string) (old, content string, err error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, iofs.ErrExist) {
		f, err = os.OpenFile(file, os.O_RDWR, 0)
	}
	if err != nil {
		return "", "", err
	}
	b := make([]byte, 1<<20)
	n, err := f.ReadAt(b, 0)
	old = string(b[:n])
	if n > 0 {
		err = nil
	}
	fresh := fmt.Sprintf("<operation %d by %s> %s", w.n, s.who, strings.Repeat(string(rune('a'+w.n%26)), w.c.ops.IntN(400)))
	switch {
	case how == "append":
		content = old + fresh
		if len(content) > 4000 {
			content = fresh
		}
	case how == "truncate" && len(old) > 0:
		cut := max(strings.IndexByte(old, '>')+1, len(old)/2)
		content = old[:cut]
	default:
		content = fresh
	}
	if err == nil || n == 0 {
		if how == "append" && strings.HasPrefix(content, old) {
			_, err = f.WriteAt([]byte(content[len(old):]), int64(len(old)))
		} else if how == "truncate" && len(old) > 0 {
			err = f.Truncate(int64(len(content)))
		} else if err = f.Truncate(0); err == nil {
			_, err = f.WriteAt([]byte(content), 0)
		}
	}
	return old, content, errors.Join(err, f.Close())
}

// folder makes the folder of a file, if that is allowed.
func (w *world) folder(s *site, owner, file string) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil && !errors.Is(err, iofs.ErrPermission) && !errors.Is(err, iofs.ErrNotExist) {
		w.fail(place{owner, ""}, "operation %d: make the folder of %s: %v", w.n, file, err)
	}
}

func (w *world) remove(s *site, at place) {
	file := s.in(at.owner, at.rel)
	old, err := os.ReadFile(file)
	if err == nil {
		err = os.Remove(file)
	}
	if w.refused(s, "remove", at, err) {
		return
	}
	w.m.retired[string(old)] = true
	w.m.note(at, "%d: remove by %s: %.60q", w.n, s.who, old)
}

func (w *world) rename(s *site, from, to place) {
	if from == to {
		return
	}
	src, dst := s.in(from.owner, from.rel), s.in(to.owner, to.rel)
	w.folder(s, to.owner, dst)
	over, oerr := os.ReadFile(dst)
	_, err := os.ReadFile(src)
	if err == nil {
		err = os.Rename(src, dst)
	}
	if w.refused(s, "rename", from, err) {
		return
	}
	if oerr == nil {
		w.m.retired[string(over)] = true
	}
	now, err := os.ReadFile(dst)
	if err == nil {
		w.m.wrote(s.who, to, "", string(now))
	}
	w.m.note(from, "%d: renamed to %s by %s: %.60q", w.n, to.rel, s.who, now)
	w.m.note(to, "%d: renamed from %s by %s: %.60q over %.60q", w.n, from.rel, s.who, now, over)
}

func (w *world) moveFolder(s *site, from, to string) {
	if from == to {
		return
	}
	err := os.Rename(s.in(s.who, from), s.in(s.who, to))
	if w.refused(s, "move a folder", place{s.who, from}, err) {
		return
	}
	for rel, content := range s.files(s.who, to) {
		w.m.has(place{s.who, rel}, content)
		w.m.note(place{s.who, rel}, "%d: came with folder %s: %.60q", w.n, from, content)
		w.m.note(place{s.who, from + strings.TrimPrefix(rel, to)}, "%d: went with the folder to %s", w.n, to)
	}
}

func (w *world) removeFolder(s *site, dir string) {
	list, err := os.ReadDir(s.in(s.who, dir))
	for _, e := range list {
		if !e.IsDir() {
			w.remove(s, place{s.who, path.Join(dir, e.Name())})
		}
	}
	if err == nil {
		err = os.Remove(s.in(s.who, dir))
	}
	w.refused(s, "remove a folder", place{s.who, dir}, err)
}

// grant sets or takes away the rules of a folder.
func (w *world) grant(s *site) {
	dir := pick(w, append([]string{inner, inner}, tops...))
	if dir == inner && w.c.ops.IntN(3) == 0 {
		err := os.Remove(s.in(s.who, path.Join(dir, ruleFile)))
		if w.refused(s, "remove a rule file", place{s.who, dir}, err) {
			return
		}
		w.moved(s, dir, nil)
		return
	}
	w.setRules(s, dir, w.anyLevels(s.who))
}

func (w *world) setRules(s *site, dir string, levels map[string]level) {
	file := s.in(s.who, path.Join(dir, ruleFile))
	w.folder(s, s.who, file)
	if w.refused(s, "set rules", place{s.who, dir}, os.WriteFile(file, []byte(ruleText(levels)), 0o644)) {
		return
	}
	w.moved(s, dir, levels)
}

// moved notes rules that are in force from now on; nil are none.
func (w *world) moved(s *site, dir string, levels map[string]level) {
	at := place{s.who, dir}
	if levels == nil {
		delete(w.m.rules, at)
	} else {
		w.m.rules[at] = levels
	}
	w.m.ruled(at, s.files(s.who, dir))
	w.m.note(at, "%d: rules %v", w.n, levels)
	w.unreadable()
}

// unreadable notes who may not read which place now.
func (w *world) unreadable() {
	for _, owner := range people {
		for _, top := range append([]string{inner}, tops...) {
			for _, who := range people {
				if at := (place{owner, top}); w.m.level(who, place{owner, top + "/x"}) < read {
					w.m.unread[reader{who, at}] = true
				}
			}
		}
	}
}

// ruledBy is the folder whose rules are about a file.
func ruledBy(at place) place {
	if strings.HasPrefix(at.rel, inner+"/") {
		return place{at.owner, inner}
	}
	top, _, _ := strings.Cut(at.rel, "/")
	return place{at.owner, top}
}

// submit copies a job into somebody's datasite.
func (w *world) submit(s *site, owner string) {
	name := fmt.Sprintf("job%d", w.n)
	dir := s.in(owner, "jobs/"+name)
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "main.py"), fmt.Appendf(nil, "print(%d)\n", w.n), 0o644)
	}
	if w.refused(s, "submit a job", place{owner, "jobs/" + name}, err) {
		return
	}
	w.jobs = append(w.jobs, place{owner, s.who + "/" + name})
}
