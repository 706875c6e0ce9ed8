package perm

import (
	"fmt"
	iofs "io/fs"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxSites = 1 << 10 // datasites remembered; more are possible, and then forgotten together
	maxKnown = 1 << 16 // folders of a datasite whose rule files are remembered, or that there are none
)

// Index answers requests over the rule files of any number of datasites, which load gives per folder, and caches what the
// rules say (never what limits say) by rule epoch. Its memory is bounded. All methods may be called at the same time.
type Index struct {
	load   func(owner User, dir string) ([]Ruleset, error)
	epoch  atomic.Uint64                  // the last one given out; never given twice, so that a number names a datasite and a state of its rules
	ids    atomic.Uint64                  // the last one given to a file or rule
	sites  atomic.Pointer[map[User]*site] // replaced under mu, read without
	memory atomic.Pointer[memory]
	owner  []Step

	mu sync.Mutex // guards replacing sites; nothing else is locked under it
}

// site is a datasite. A site that was forgotten may still be in use by calls that began before; what they keep is unreachable.
type site struct {
	owner User
	epoch atomic.Uint64 // moved under mu

	mu  sync.Mutex       // innermost: load is never called under it
	own map[string]*file // what lies directly in a folder, nil for nothing
}

// folder is a folder with its rules worked out. It never changes.
type folder struct {
	epoch uint64
	dir   string
	self  *reign // over the folder itself
	in    *reign // over what is in it
}

// NewIndex makes an index; load returns the rule files that lie directly in dir, none if there are none. Its error is
// handed to whoever asked and not remembered.
func NewIndex(load func(owner User, dir string) ([]Ruleset, error)) *Index {
	x := &Index{load: load, owner: []Step{{Text: "Owner of path"}}}
	x.memory.Store(newMemory(firstSets))
	x.sites.Store(&map[User]*site{})
	return x
}

// Decide answers r with reasons. Limits are not looked at: Decision.Limit does. Want None asks for any level at all. An
// error means that the rules could not be read, or that r is not a clean request; the decision is then a refusal. The steps
// of a decision are shared and must not be changed. A zero Now stands for the present.
func (x *Index) Decide(r Request) (Decision, error) {
	if r.byOwner() && cleanPath(r.Path) {
		return x.ownersDecision(r), nil
	}
	s := x.site(r.Owner)
	epoch := s.epoch.Load()
	m := x.memory.Load()
	hash := m.hash(epoch, &r)
	a := m.answers.get(hash, func(a *answer) bool {
		return a.epoch == epoch && a.want == r.Want && a.isDir == r.IsDir && a.path == r.Path && a.user == r.User &&
			(a.day == anyDay || a.day == day(r.Now))
	})
	if a != nil {
		return a.out.decision(r), nil
	}
	q, err := x.consider(s, epoch, &r)
	if err != nil {
		return Decision{Request: r}, err
	}
	v := q.judge()
	f := v.find(r.Want)
	out := m.outcome(&f)
	if len(r.Path) <= longestKey {
		if larger := m.keep(hash, &answer{epoch: epoch, user: r.User, path: r.Path, want: r.Want, isDir: r.IsDir, day: q.day, out: out}); larger != nil {
			x.memory.Store(larger)
		}
	}
	return out.decision(r), nil
}

func (r *Request) byOwner() bool { return r.User == r.Owner && !r.User.nobody() }

func (x *Index) ownersDecision(r Request) Decision {
	return Decision{Request: r, Allowed: true, Level: Admin, Owner: true, Steps: x.owner}
}

// question is a request with all that its answer depends on.
type question struct {
	path     string
	reign    *reign
	vars     vars
	day      int64 // anyDay, or the only day on which the answer is true
	ruleFile bool
	nearby   *file // the rule file that governs, if it lies in the target's own folder, or in the target itself
}

// consider finds the rules that speak about r.
func (x *Index) consider(s *site, epoch uint64, r *Request) (question, error) {
	if !cleanPath(r.Path) || r.Want > Admin {
		return question{}, &iofs.PathError{Op: "decide", Path: "/" + string(r.Owner) + "/" + r.Path, Err: iofs.ErrInvalid}
	}
	dir, base := parent(r.Path)
	at := dir
	if r.isDir() {
		at = r.Path
	}
	f, err := x.folder(s, epoch, at)
	if err != nil {
		return question{}, err
	}
	q := question{path: r.Path, reign: f.in, vars: vars{user: r.User}, day: anyDay, ruleFile: isRuleFile(base)}
	if r.isDir() {
		q.reign = f.self
	}
	last := q.reign.last()
	if last == nil {
		return q, nil
	}
	if last.dated {
		now := r.Now
		if now.IsZero() {
			now = time.Now()
		}
		q.vars.now = now.UTC()
		q.day = day(now)
	}
	if last.dir == dir || last.dir == at {
		q.nearby = last
	}
	return q, nil
}

func (r *Request) isDir() bool { return r.IsDir || r.Path == "" }

func isRuleFile(base string) bool { return base == FilePub || base == FilePerm }

// folder works out the rules of a folder, from the top down.
func (x *Index) folder(s *site, epoch uint64, dir string) (*folder, error) {
	m := x.memory.Load()
	hash := m.folderHash(epoch, dir)
	if f := m.folders.get(hash, func(f *folder) bool { return f.epoch == epoch && f.dir == dir }); f != nil {
		return f, nil
	}
	dir = strings.Clone(dir) // a long path is not kept for a short folder
	above := &reign{}
	if dir != "" {
		up, _ := parent(dir)
		p, err := x.folder(s, epoch, up)
		if err != nil {
			return nil, err
		}
		above = p.in
	}
	f := &folder{epoch, dir, above, above}
	if !above.final {
		own, err := x.ownFile(s, epoch, dir)
		if err != nil {
			return nil, err
		}
		f.self, f.in = above.overItself(own), above.below(own)
	}
	m.folders.put(hash, f)
	return f, nil
}

// ownFile gives the rule file that counts in a folder, loading it if need be.
func (x *Index) ownFile(s *site, epoch uint64, dir string) (*file, error) {
	s.mu.Lock()
	f, known := s.own[dir]
	s.mu.Unlock()
	if known {
		return f, nil
	}
	sets, err := x.load(s.owner, dir)
	if err != nil {
		return nil, fmt.Errorf("reading the rules of %s: %w", shownDir(s.owner, dir), err)
	}
	f = choose(s.owner, dir, sets, &x.ids)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch.Load() == epoch { // else a rule changed since, and this may be from before
		if len(s.own) >= maxKnown {
			clear(s.own)
		}
		s.own[dir] = f
	}
	return f, nil
}

// site gives the datasite of owner, making it if it is new.
func (x *Index) site(owner User) *site {
	if s := (*x.sites.Load())[owner]; s != nil {
		return s
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	old := *x.sites.Load()
	if s := old[owner]; s != nil {
		return s
	}
	s := &site{owner: owner, own: map[string]*file{}}
	s.epoch.Store(x.epoch.Add(1))
	next := map[User]*site{}
	if len(old) < maxSites {
		maps.Copy(next, old)
	}
	next[owner] = s
	x.sites.Store(&next)
	return s
}

// Epoch moves with every rule change of that datasite. It may also move when nothing changed.
func (x *Index) Epoch(owner User) uint64 { return x.site(owner).epoch.Load() }

// Forget drops what was loaded of a folder: a rule file there changed. It moves the epoch.
func (x *Index) Forget(owner User, dir string) {
	x.turn(owner, func(s *site) { delete(s.own, dir) })
}

// ForgetAll drops everything of a datasite (a folder with rule files moved).
func (x *Index) ForgetAll(owner User) {
	x.turn(owner, func(s *site) { clear(s.own) })
}

// Turn moves the epoch: accounts changed.
func (x *Index) Turn(owner User) {
	x.turn(owner, func(*site) {})
}

func (x *Index) turn(owner User, drop func(*site)) {
	s := x.site(owner)
	s.mu.Lock()
	defer s.mu.Unlock()
	drop(s)
	s.epoch.Store(x.epoch.Add(1))
}

// day is the day of t in UTC, since 1970; the present day for the zero time.
func day(t time.Time) int64 {
	if t.IsZero() {
		t = time.Now()
	}
	const length = 24 * 60 * 60
	sec := t.Unix()
	d := sec / length
	if sec%length < 0 {
		d--
	}
	return d
}

// parent cuts a clean path into its folder and its last name.
func parent(rel string) (dir, base string) {
	if i := strings.LastIndexByte(rel, '/'); i >= 0 {
		return rel[:i], rel[i+1:]
	}
	return "", rel
}

// cleanPath reports whether rel is "" or names joined by single slashes, none of them "." or "..", without NUL.
func cleanPath(rel string) bool {
	if rel == "" {
		return true
	}
	start := 0
	for i := 0; i <= len(rel); i++ {
		if i < len(rel) && rel[i] != '/' {
			if rel[i] == 0 {
				return false
			}
			continue
		}
		switch rel[start:i] {
		case "", ".", "..":
			return false
		}
		start = i + 1
	}
	return true
}
