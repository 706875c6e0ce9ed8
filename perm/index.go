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
	maxSites    = 1024    // datasites remembered; more are possible, and then forgotten together
	maxFolders  = 1 << 16 // folders remembered of a datasite, of each of the two maps
	maxOutcomes = 1 << 14
)

// Index answers requests over the rule files of any number of datasites, which load gives per folder, and caches what the
// rules say (never what limits say) by rule epoch. Its memory is bounded. All methods may be called at the same time.
type Index struct {
	load  func(owner User, dir string) ([]Ruleset, error)
	epoch atomic.Uint64                  // the last one given out; never given twice, so that a number names a datasite and a state of its rules
	sites atomic.Pointer[map[User]*site] // replaced under mu, read without
	table func() *table                  // made at the first question by anybody but an owner
	owner []Step

	mu sync.Mutex // guards replacing sites; nothing else is locked under it
}

// site is a datasite. A site that was forgotten may still be in use by calls that began before; what they keep is unreachable.
type site struct {
	owner User
	state atomic.Pointer[state] // replaced under mu

	mu  sync.Mutex       // innermost: load is never called under it
	own map[string]*file // what lies directly in a folder, nil for nothing
}

// state is what was worked out in one epoch. A new epoch starts with an empty one.
type state struct {
	epoch uint64

	mu       sync.RWMutex
	reigns   map[string]*folder
	outcomes map[outcome]*Decision
}

// folder is a folder with its rules worked out. It never changes.
type folder struct {
	self *reign // over the folder itself
	in   *reign // over what is in it
}

type outcome struct {
	verdict verdict
	want    Level
}

// NewIndex makes an index; load returns the rule files that lie directly in dir, none if there are none. Its error is
// handed to whoever asked and not remembered.
func NewIndex(load func(owner User, dir string) ([]Ruleset, error)) *Index {
	x := &Index{load: load, table: sync.OnceValue(newTable), owner: []Step{{Text: "Owner of path"}}}
	x.sites.Store(&map[User]*site{})
	return x
}

// Decide answers r with reasons. Limits are not looked at: Decision.Limit does. Want None asks for any level at all. An
// error means that the rules could not be read, or that r is not a clean request; the decision is then a refusal. The steps
// of a decision are shared and must not be changed. A zero Now stands for the present.
func (x *Index) Decide(r Request) (Decision, error) {
	if r.User == r.Owner && !r.User.nobody() && cleanPath(r.Path) {
		return Decision{Request: r, Allowed: true, Level: Admin, Owner: true, Steps: x.owner}, nil
	}
	s := x.site(r.Owner)
	st := s.state.Load()
	t := x.table()
	h := t.hash(st.epoch, &r)
	if e := t.get(h, st.epoch, &r); e != nil && (e.day == anyDay || e.day == day(r.Now)) {
		d := *e.d
		d.Request = r
		return d, nil
	}
	e, err := x.work(s, st, &r)
	if err != nil {
		return Decision{Request: r}, err
	}
	t.put(h, e)
	d := *e.d
	d.Request = r
	return d, nil
}

// work decides without the table.
func (x *Index) work(s *site, st *state, r *Request) (*entry, error) {
	q, err := x.consider(s, st, r)
	if err != nil {
		return nil, err
	}
	out := q.judge()
	return &entry{epoch: st.epoch, user: r.User, path: r.Path, want: r.Want, isDir: r.IsDir, day: q.day, d: st.decision(out, r.Want)}, nil
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
func (x *Index) consider(s *site, st *state, r *Request) (question, error) {
	if !cleanPath(r.Path) || r.Want > Admin {
		return question{}, &iofs.PathError{Op: "decide", Path: "/" + string(r.Owner) + "/" + r.Path, Err: iofs.ErrInvalid}
	}
	dir, base := parent(r.Path)
	at := r.Path
	if !r.IsDir {
		at = dir
	}
	f, err := x.folder(s, st, at)
	if err != nil {
		return question{}, err
	}
	q := question{path: r.Path, reign: f.in, vars: vars{user: r.User}, day: anyDay, ruleFile: isRuleFile(base)}
	if r.IsDir {
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

func isRuleFile(base string) bool { return base == FilePub || base == FilePerm }

// decision gives the decision for a verdict, the same one for the same verdict.
func (st *state) decision(out verdict, want Level) *Decision {
	key := outcome{out, want}
	st.mu.RLock()
	d := st.outcomes[key]
	st.mu.RUnlock()
	if d != nil {
		return d
	}
	d = out.decide(want)
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.outcomes) >= maxOutcomes {
		clear(st.outcomes)
	}
	st.outcomes[key] = d
	return d
}

// folder works out the rules of a folder, from the top down.
func (x *Index) folder(s *site, st *state, dir string) (*folder, error) {
	st.mu.RLock()
	f := st.reigns[dir]
	st.mu.RUnlock()
	if f != nil {
		return f, nil
	}
	above := &reign{}
	if dir != "" {
		up, _ := parent(dir)
		p, err := x.folder(s, st, up)
		if err != nil {
			return nil, err
		}
		above = p.in
	}
	f = &folder{self: above, in: above}
	if !above.final {
		own, err := x.ownFile(s, st, dir)
		if err != nil {
			return nil, err
		}
		f = &folder{self: above.overItself(own), in: above.below(own)}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.reigns) >= maxFolders {
		clear(st.reigns)
	}
	st.reigns[dir] = f
	return f, nil
}

// ownFile gives the rule file that counts in a folder, loading it if need be.
func (x *Index) ownFile(s *site, st *state, dir string) (*file, error) {
	s.mu.Lock()
	f, known := s.own[dir]
	s.mu.Unlock()
	if known {
		return f, nil
	}
	sets, err := x.load(s.owner, dir)
	if err != nil {
		return nil, fmt.Errorf("reading the rules of /%s: %w", strings.TrimSuffix(string(s.owner)+"/"+dir, "/"), err)
	}
	f = choose(s.owner, dir, sets)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() == st { // else a rule changed since, and this may be from before
		if len(s.own) >= maxFolders {
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
	s.state.Store(x.newState())
	next := map[User]*site{}
	if len(old) < maxSites {
		maps.Copy(next, old)
	}
	next[owner] = s
	x.sites.Store(&next)
	return s
}

func (x *Index) newState() *state {
	return &state{epoch: x.epoch.Add(1), reigns: map[string]*folder{}, outcomes: map[outcome]*Decision{}}
}

// Epoch moves with every rule change of that datasite. It may also move when nothing changed.
func (x *Index) Epoch(owner User) uint64 { return x.site(owner).state.Load().epoch }

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
	s.state.Store(x.newState())
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
