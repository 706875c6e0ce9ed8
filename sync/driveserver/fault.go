package driveserver

import (
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Rule says when something is to go wrong, and what. All conditions that are set must hold; the first rule that fires decides.
type Rule struct {
	ID     string    `json:"id,omitempty"` // given by AddFault
	User   string    `json:"user,omitempty"`
	Method string    `json:"method,omitempty"` // as in the counts, with * and ?: files.create, files.download, files.upload (bytes of a resumable upload), permissions.*, token
	Path   string    `json:"path,omitempty"`   // part of the path
	Query  string    `json:"query,omitempty"`  // part of the decoded query
	From   time.Time `json:"from,omitzero"`
	Until  time.Time `json:"until,omitzero"`

	Skip        int     `json:"skip,omitempty"`        // so many matching requests pass first
	Count       int     `json:"count,omitempty"`       // fires at most so often; 0 is no bound
	Probability float64 `json:"probability,omitempty"` // 0 is always
	Seed        uint64  `json:"seed,omitempty"`        // of the dice for Probability

	Action Action `json:"action"`
}

// RuleState is a rule and how often it was met.
type RuleState struct {
	Rule
	Seen  int `json:"seen"`  // requests that matched
	Fired int `json:"fired"` // of these, how many it spoiled
}

// faultBook holds the rules and the switches. mu is innermost.
type faultBook struct {
	now func() time.Time
	sw  atomic.Pointer[Switches]

	mu     sync.Mutex
	rules  []*liveRule
	nextID int
	window time.Time // the minute that spent is about
	spent  map[string]spending
}

// spending is what an account used of the bounds of a minute.
type spending struct{ units, requests int64 }

type liveRule struct {
	RuleState
	dice *rand.Rand
}

func (b *faultBook) switches() Switches {
	if sw := b.sw.Load(); sw != nil {
		return *sw
	}
	return Switches{}
}

func (b *faultBook) setSwitches(sw Switches) { b.sw.Store(&sw) }

// AddFault adds a rule and returns its id.
func (s *Server) AddFault(r Rule) (string, error) {
	if !slices.Contains(actionKinds, r.Action.Kind) {
		return "", fmt.Errorf("fault kind %q is none of %s: %w", r.Action.Kind, strings.Join(actionKinds, ", "), iofs.ErrInvalid)
	}
	if _, err := path.Match(r.Method, ""); err != nil {
		return "", fmt.Errorf("fault method %q: %w", r.Method, iofs.ErrInvalid)
	}
	if r.Action.Code != 0 && (r.Action.Code < 400 || r.Action.Code > 599) || r.Probability < 0 || r.Probability > 1 || r.Action.Bytes < 0 || r.Action.Delay < 0 {
		return "", fmt.Errorf("fault: a number is out of range: %w", iofs.ErrInvalid)
	}
	b := &s.faults
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nextID++
	r.ID = strconv.Itoa(b.nextID)
	b.rules = append(b.rules, &liveRule{RuleState: RuleState{Rule: r}, dice: rand.New(rand.NewPCG(r.Seed, 0))})
	return r.ID, nil
}

// Faults are the rules in order.
func (s *Server) Faults() []RuleState {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	all := make([]RuleState, len(s.faults.rules))
	for i, r := range s.faults.rules {
		all[i] = r.RuleState
	}
	return all
}

// RemoveFault removes a rule; an empty id removes all. No such rule: ErrNotExist.
func (s *Server) RemoveFault(id string) error {
	b := &s.faults
	b.mu.Lock()
	defer b.mu.Unlock()
	before := len(b.rules)
	b.rules = slices.DeleteFunc(b.rules, func(r *liveRule) bool { return id == "" || r.ID == id })
	if id != "" && len(b.rules) == before {
		return fmt.Errorf("fault %s: %w", id, iofs.ErrNotExist)
	}
	return nil
}

// match is the action of the first rule that fires for a request, nil for none.
func (b *faultBook) match(user, method string, r *http.Request) *Action {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.rules) == 0 {
		return nil
	}
	query, err := url.QueryUnescape(r.URL.RawQuery)
	if err != nil {
		query = r.URL.RawQuery
	}
	now := b.now()
	for _, rule := range b.rules {
		if !rule.meets(user, method, r.URL.Path, query, now) {
			continue
		}
		rule.Seen++
		if rule.Seen <= rule.Skip || rule.Count > 0 && rule.Fired >= rule.Count || rule.Probability > 0 && rule.dice.Float64() >= rule.Probability {
			continue
		}
		rule.Fired++
		a := rule.Action
		return &a
	}
	return nil
}

func (r *liveRule) meets(user, method, urlPath, query string, now time.Time) bool {
	if r.Method != "" {
		if ok, err := path.Match(r.Method, method); err != nil || !ok {
			return false
		}
	}
	return (r.User == "" || strings.EqualFold(r.User, user)) && strings.Contains(urlPath, r.Path) && strings.Contains(query, r.Query) &&
		(r.From.IsZero() || !now.Before(r.From)) && (r.Until.IsZero() || now.Before(r.Until))
}

// around runs a call with the fault that is due for it, and sends its error.
func (b *faultBook) around(c *call, run func() error) {
	a := b.match(c.who.Email, c.m.id, c.r)
	c.fault = a
	if a != nil {
		c.s.log.Info("fault", "kind", a.Kind, "method", c.m.id, "user", c.who.Email)
	}
	if !a.before(c.s, c.w, c.r) {
		return
	}
	w := c.w
	done := a.answerFor(w)
	c.w = done
	if err := run(); err != nil {
		c.fail(w, err)
		return
	}
	a.after(w, done)
}

// fail answers with an error, in the shape that the switches ask for.
func (c *call) fail(w http.ResponseWriter, err error) {
	e := *asAPI(err)
	if e.Code == http.StatusInternalServerError {
		c.s.log.Error("a request failed", "method", c.m.id, "error", err)
	}
	e.Details = e.Details || c.s.faults.switches().ErrorDetails
	e.send(w)
}

// charge counts a call against the bounds of the switches.
func (b *faultBook) charge(account string, units int64, minute time.Time) error {
	sw := b.switches()
	if sw.UnitsPerMinute == 0 && sw.RequestsPerMinute == 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !minute.Equal(b.window) {
		b.window, b.spent = minute, map[string]spending{}
	}
	n := b.spent[account]
	n.units += units
	n.requests++
	if sw.UnitsPerMinute > 0 && n.units > sw.UnitsPerMinute || sw.RequestsPerMinute > 0 && n.requests > sw.RequestsPerMinute {
		return &apiError{Code: http.StatusForbidden, Reason: "userRateLimitExceeded", Domain: "usageLimits", Message: "User Rate Limit Exceeded."}
	}
	b.spent[account] = n
	return nil
}
