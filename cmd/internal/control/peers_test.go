package control

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/fs/virtual"
)

// exchange is a service with peers in memory.
type exchange struct {
	t      *testing.T
	peers  []service.Peer
	copies []service.ConflictCopy
	err    error    // of every wish
	none   bool     // there is no Drive
	asked  []string // op and address
}

func (x *exchange) proven(c service.Caller) {
	if !c.Root || c.Via != "mount" {
		x.t.Errorf("asked as %+v", c)
	}
}

func (x *exchange) PeerList(_ context.Context, c service.Caller, _ struct{}) ([]service.Peer, error) {
	x.proven(c)
	if x.none {
		return nil, &service.Error{Code: service.NotRunning, Message: "no Drive: run `syftfs auth`"}
	}
	return slices.Clone(x.peers), nil
}

func (x *exchange) PeerGives(_ context.Context, c service.Caller, q service.PeerQuestion) (service.PeerGives, error) {
	x.proven(c)
	return service.PeerGives{Text: "gives " + q.Address + "\x1b[2J\n"}, x.err
}

func (x *exchange) act(op string, to service.PeerState, c service.Caller, q service.PeerQuestion) (service.PeerDone, error) {
	x.proven(c)
	if !q.NoWait || q.Force {
		x.t.Errorf("%s waits for Drive: %+v", op, q)
	}
	if x.none {
		return service.PeerDone{}, &service.Error{Code: service.NotRunning, Message: "no Drive: run `syftfs auth`"}
	}
	if x.err != nil {
		return service.PeerDone{}, x.err
	}
	x.asked = append(x.asked, op+" "+q.Address)
	address := strings.ToLower(q.Address)
	x.peers = slices.DeleteFunc(x.peers, func(p service.Peer) bool { return p.Address == address })
	if to != "" {
		x.peers = append(x.peers, service.Peer{Address: address, State: to, Queued: true})
	}
	return service.PeerDone{}, nil
}

func (x *exchange) PeerRequest(_ context.Context, c service.Caller, q service.PeerQuestion) (service.PeerDone, error) {
	return x.act("request", service.PeerRequested, c, q)
}
func (x *exchange) PeerAccept(_ context.Context, c service.Caller, q service.PeerQuestion) (service.PeerDone, error) {
	return x.act("accept", service.PeerAccepted, c, q)
}
func (x *exchange) PeerReject(_ context.Context, c service.Caller, q service.PeerQuestion) (service.PeerDone, error) {
	return x.act("reject", service.PeerRejected, c, q)
}
func (x *exchange) PeerBlock(_ context.Context, c service.Caller, q service.PeerQuestion) (service.PeerDone, error) {
	return x.act("block", service.PeerBlocked, c, q)
}
func (x *exchange) PeerRemove(_ context.Context, c service.Caller, q service.PeerQuestion) (service.PeerDone, error) {
	return x.act("remove", "", c, q)
}
func (x *exchange) Conflicts(_ context.Context, c service.Caller, _ struct{}) ([]service.ConflictCopy, error) {
	x.proven(c)
	return x.copies, x.err
}

func people(t *testing.T) *exchange {
	return &exchange{t: t, peers: []service.Peer{{Address: "p@x.org", State: service.PeerPending}, {Address: "r@x.org", State: service.PeerRequested},
		{Address: "a@x.org", State: service.PeerAccepted}, {Address: "n@x.org", State: service.PeerRejected}, {Address: "b@x.org", State: service.PeerBlocked}}}
}

func ownerFolder(x *exchange) *Folder {
	return New("owen@lab.example (owner)", &statuser{}, &explainer{}, now).WithExchange(x)
}

// paths lists everything below rel.
func paths(t *testing.T, f *Folder, rel string) []string {
	t.Helper()
	list, err := f.List(t.Context(), rel)
	must(t, err)
	var all []string
	for _, e := range list {
		at := strings.TrimPrefix(rel+"/"+e.Name, "/")
		all = append(all, at)
		got, err := f.Lookup(t.Context(), at)
		if err != nil || got.Name != e.Name || got.Kind != e.Kind || got.Mode != e.Mode {
			t.Errorf("%s: listed as %+v, looked up as %+v (%v)", at, e, got, err)
		}
		if e.Kind == virtual.Dir && e.Name != whyDir {
			all = append(all, paths(t, f, at)...)
		}
	}
	return all
}

func TestPeersTree(t *testing.T) {
	x := people(t)
	f := ownerFolder(x)
	want := []string{"conflicts", "last-error", "peers",
		"peers/accepted", "peers/accepted/a@x.org", "peers/accepted/a@x.org/gives", "peers/accepted/a@x.org/status",
		"peers/pending", "peers/pending/p@x.org", "peers/pending/p@x.org/gives", "peers/pending/p@x.org/status",
		"peers/rejected", "peers/rejected/n@x.org", "peers/rejected/n@x.org/status", "peers/rejected/b@x.org", "peers/rejected/b@x.org/status",
		"peers/requested", "peers/requested/r@x.org", "peers/requested/r@x.org/status", "status", "why"}
	if got := paths(t, f, ""); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := read(t, f, "peers/pending/p@x.org/gives"); got != "gives p@x.org␛[2J\n" {
		t.Errorf("%q", got)
	}
	if got := read(t, f, "peers/pending/p@x.org/status"); !strings.Contains(got, "state      pending") || !strings.Contains(got, "move this folder to accepted/ or rejected/") {
		t.Errorf("%q", got)
	}
	if got := read(t, f, "conflicts"); got != "no conflicts\n" {
		t.Errorf("%q", got)
	}
	x.copies = []service.ConflictCopy{{Path: "owen@lab.example/\x1b", Copy: "c", By: "p@x.org"}}
	if got := read(t, f, "conflicts"); strings.Contains(got, "\x1b") || !strings.Contains(got, "␛") {
		t.Errorf("%q", got)
	}
	// The exchange with a peer stands in its status.
	f.status.(*statuser).st.Exchange = &service.ExchangeStatus{Peers: []service.PeerExchange{{Address: "z@x.org"}, {Address: "a@x.org", Owed: 7}}}
	if got := read(t, f, "peers/accepted/a@x.org/status"); !strings.Contains(got, "7 files to send") {
		t.Errorf("%q", got)
	}
	for _, rel := range []string{"peers/", "peersx", "peers/blocked", "peers/pending/a@x.org", "peers/requested/r@x.org/gives", "peers/pending/p@x.org/x", "peers/pending/p@x.org/status/x",
		"peers/pending/none@x.org", "peers/pending/nobody", "peers/pending/ p@x.org"} {
		if _, err := f.Lookup(t.Context(), rel); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("lookup %q: %v", rel, err)
		}
		if _, err := f.List(t.Context(), rel); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("list %q: %v", rel, err)
		}
		if _, err := f.Open(t.Context(), rel, os.O_RDONLY, 0); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("open %q: %v", rel, err)
		}
	}
	// A peer is found in every spelling of its address.
	if e, err := f.Lookup(t.Context(), "peers/pending/P@X.org"); err != nil || e.Name != "P@X.org" {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := f.Open(t.Context(), "peers/pending/p@x.org", os.O_RDONLY, 0); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("%v", err)
	}
}

// TestPeersByHand: what people do with folders is what is asked of the service, and what is refused is told.
func TestPeersByHand(t *testing.T) {
	refused := func(errno syscall.Errno, texts ...string) func(*testing.T, error) {
		return func(t *testing.T, err error) {
			t.Helper()
			r, ok := errors.AsType[*virtual.Refusal](err)
			if !ok || !errors.Is(err, errno) {
				t.Fatalf("%v", err)
			}
			for _, text := range texts {
				if !strings.Contains(r.Reason, text) {
					t.Errorf("%q does not tell %q", r.Reason, text)
				}
			}
			f := New("owner", nil, &explainer{}, now)
			f.Refused("mkdir", "peers", err)
			if !strings.Contains(read(t, f, "last-error"), r.Reason) {
				t.Error("the reason is not in last-error")
			}
		}
	}
	is := func(target error) func(*testing.T, error) {
		return func(t *testing.T, err error) {
			t.Helper()
			if !errors.Is(err, target) {
				t.Errorf("%v, want %v", err, target)
			}
		}
	}
	mkdir := func(rel string) func(*Folder) error {
		return func(f *Folder) error { return f.Mkdir(context.Background(), rel, 0o755) }
	}
	mv := func(from, to string) func(*Folder) error {
		return func(f *Folder) error { return f.Rename(context.Background(), "peers/"+from, "peers/"+to) }
	}
	rm := func(rel string) func(*Folder) error {
		return func(f *Folder) error { return f.Remove(context.Background(), rel) }
	}
	for name, c := range map[string]struct {
		do    func(*Folder) error
		asked string                  // what was asked of the service
		at    string                  // what is there afterwards
		want  func(*testing.T, error) // nil: done
	}{
		"ask":                           {mkdir("peers/requested/New@x.org"), "request New@x.org", "peers/requested/New@x.org", nil},
		"ask somebody who was rejected": {mkdir("peers/requested/n@x.org"), "request n@x.org", "peers/requested/n@x.org", nil},
		"ask twice":                     {mkdir("peers/requested/R@x.org"), "", "", is(iofs.ErrExist)},
		"ask who asks":                  {mkdir("peers/requested/p@x.org"), "", "", refused(syscall.EEXIST, "mv peers/pending/p@x.org peers/accepted/")},
		"ask who is accepted":           {mkdir("peers/requested/a@x.org"), "", "", refused(syscall.EEXIST, "already")},
		"ask nobody":                    {mkdir("peers/requested/nobody"), "", "", refused(syscall.EINVAL, "address")},
		"ask a pattern":                 {mkdir("peers/requested/*@x.org"), "", "", refused(syscall.EINVAL)},
		"accept without being asked":    {mkdir("peers/accepted/new@x.org"), "", "", refused(syscall.EPERM, "peers/requested/ADDRESS")},
		"make a request of somebody":    {mkdir("peers/pending/new@x.org"), "", "", refused(syscall.EPERM)},
		"another state":                 {mkdir("peers/friends"), "", "", refused(syscall.EPERM)},
		"below another state":           {mkdir("peers/friends/x@x.org"), "", "", refused(syscall.EPERM)},
		"below a peer":                  {mkdir("peers/requested/r@x.org/x"), "", "", refused(syscall.EPERM)},
		"elsewhere":                     {mkdir("x"), "", "", refused(syscall.EPERM)},
		"below why":                     {mkdir("why/x"), "", "", refused(syscall.EPERM)},
		"accept":                        {mv("pending/p@x.org", "accepted/p@x.org"), "accept p@x.org", "peers/accepted/p@x.org", nil},
		"accept who was rejected":       {mv("rejected/n@x.org", "accepted/n@x.org"), "accept n@x.org", "peers/accepted/n@x.org", nil},
		"reject":                        {mv("pending/p@x.org", "rejected/p@x.org"), "reject p@x.org", "peers/rejected/p@x.org", nil},
		"end":                           {mv("accepted/a@x.org", "rejected/a@x.org"), "block a@x.org", "peers/rejected/a@x.org", nil},
		"leave":                         {mv("pending/p@x.org", "pending/p@x.org"), "", "peers/pending/p@x.org", nil},
		"accept under another name":     {mv("pending/p@x.org", "accepted/q@x.org"), "", "", refused(syscall.EINVAL, "keeps its address")},
		"accept who did not answer":     {mv("requested/r@x.org", "accepted/r@x.org"), "", "", refused(syscall.EPERM, "has not answered")},
		"unanswer":                      {mv("accepted/a@x.org", "pending/a@x.org"), "", "", refused(syscall.EPERM)},
		"ask by moving":                 {mv("rejected/n@x.org", "requested/n@x.org"), "", "", refused(syscall.EPERM, "make the folder")},
		"who is not there":              {mv("pending/none@x.org", "accepted/none@x.org"), "", "", is(iofs.ErrNotExist)},
		"who is elsewhere":              {mv("pending/a@x.org", "rejected/a@x.org"), "", "", is(iofs.ErrNotExist)},
		"a state":                       {mv("pending", "accepted"), "", "", refused(syscall.EPERM)},
		"a text":                        {mv("pending/p@x.org/gives", "accepted/p@x.org"), "", "", refused(syscall.EPERM)},
		"out":                           {mv("pending/p@x.org", "../x"), "", "", refused(syscall.EPERM)},
		"take back":                     {rm("peers/requested/r@x.org"), "remove r@x.org", "", nil},
		"forget":                        {rm("peers/accepted/a@x.org"), "remove a@x.org", "", nil},
		"let ask again":                 {rm("peers/rejected/b@x.org"), "remove b@x.org", "", nil},
		"ignore":                        {rm("peers/pending/p@x.org"), "", "", refused(syscall.EPERM, "needs an answer")},
		"remove who is not there":       {rm("peers/requested/none@x.org"), "", "", is(iofs.ErrNotExist)},
		"remove a text":                 {rm("peers/accepted/a@x.org/status"), "", "", refused(syscall.EPERM, "rmdir")},
		"remove a state":                {rm("peers/accepted"), "", "", refused(syscall.EPERM)},
		"remove all peers":              {rm("peers"), "", "", refused(syscall.EPERM)},
		"remove last-error":             {rm("last-error"), "", "", refused(syscall.EPERM)},
	} {
		t.Run(name, func(t *testing.T) {
			x := people(t)
			f := ownerFolder(x)
			err := c.do(f)
			if c.want != nil {
				c.want(t, err)
			} else if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(x.asked, ","); got != c.asked {
				t.Errorf("asked %q", got)
			}
			if c.at != "" {
				if _, err := f.Lookup(t.Context(), c.at); err != nil {
					t.Error(err)
				}
			}
			if c.asked == "" {
				return
			}
			// The same, refused by the service.
			for code, errno := range map[service.Code]syscall.Errno{service.Conflict: syscall.EPERM, service.NotFound: syscall.EINVAL, service.BadEmail: syscall.EINVAL,
				service.NotRunning: syscall.EPERM, service.Forbidden: syscall.EACCES, service.NoAudit: syscall.EIO} {
				x := people(t)
				x.err = &service.Error{Code: code, Message: "because 100% of it"}
				refused(errno, "because 100% of it")(t, c.do(ownerFolder(x)))
			}
			x = people(t)
			x.err = fmt.Errorf("x: %w", context.Canceled)
			if err := c.do(ownerFolder(x)); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestPeersWithoutDrive: the folders are there and empty, and whoever makes one is told what is missing.
func TestPeersWithoutDrive(t *testing.T) {
	x := people(t)
	x.none = true
	f := ownerFolder(x)
	if got := paths(t, f, "peers"); !slices.Equal(got, []string{"peers/accepted", "peers/pending", "peers/rejected", "peers/requested"}) {
		t.Errorf("%q", got)
	}
	err := f.Mkdir(t.Context(), "peers/requested/new@x.org", 0o700)
	if !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), "syftfs auth") {
		t.Errorf("%v", err)
	}
}

// TestNothingElseCanBeMade: in the owner's mount, and in a view nothing at all.
func TestNothingElseCanBeMade(t *testing.T) {
	view := New("rachel@uni.example", nil, &explainer{}, now)
	for _, f := range []*Folder{view, ownerFolder(people(t))} {
		for _, rel := range []string{"x", "peers/x", "peers/requested/x", "why/rachel@uni.example/x"} {
			if _, err := f.Open(t.Context(), rel, os.O_WRONLY|os.O_CREATE, 0o600); !errors.Is(err, syscall.EPERM) {
				t.Errorf("%s: %v", rel, err)
			}
		}
		if err := f.SetAttr(t.Context(), "", virtual.Attr{}); !errors.Is(err, syscall.EPERM) {
			t.Errorf("%v", err)
		}
	}
	if list, err := view.List(t.Context(), ""); err != nil || len(list) != 3 {
		t.Errorf("%v, %v", list, err)
	}
	for _, err := range []error{view.Mkdir(t.Context(), "peers/requested/new@x.org", 0o700), view.Remove(t.Context(), "last-error")} {
		if !errors.Is(err, syscall.EPERM) {
			t.Errorf("%v", err)
		}
	}
	if err := view.Rename(t.Context(), "peers/pending/p@x.org", "peers/accepted/p@x.org"); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	mode := iofs.FileMode(0o755)
	if err := ownerFolder(people(t)).SetAttr(t.Context(), "peers/requested", virtual.Attr{Mode: &mode}); err != nil {
		t.Error(err)
	}
}
