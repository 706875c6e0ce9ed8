package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	iofs "io/fs"
	"strconv"
	"syscall"
	"testing"

	"github.com/openmined/syftfs/fs/dataset"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/grant"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/account"
)

// codes reads the constants of type Code from the source, so that none is forgotten.
func codes(t *testing.T) []Code {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	must(t, err)
	var all []Code
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			if id, ok := v.Type.(*ast.Ident); ok && id.Name == "Code" && len(v.Values) == 1 {
				text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
				must(t, err)
				all = append(all, Code(text))
			}
		}
		return true
	})
	return all
}

// statuses are the exit statuses that the README lists, with those of HTTP that may go with them.
var statuses = map[int][]int{1: {500}, 2: {422}, 4: {403}, 5: {404}, 6: {409}, 7: {503}, 8: {503}, 9: {409}, 10: {501}, 75: {202}}

func TestEveryCodeHasBothStatuses(t *testing.T) {
	all := codes(t)
	if len(all) < 12 || len(all) != len(table) {
		t.Errorf("%d codes, %d in the table", len(all), len(table))
	}
	for _, c := range all {
		row, ok := table[c]
		if !ok {
			t.Errorf("%s is not in the table", c)
			continue
		}
		if c.Exit() != row.exit || c.HTTP() != row.http {
			t.Errorf("%s: %d, %d", c, c.Exit(), c.HTTP())
		}
		fits := false
		for _, h := range statuses[c.Exit()] {
			fits = fits || h == c.HTTP()
		}
		if !fits {
			t.Errorf("%s: exit status %d does not go with HTTP %d", c, c.Exit(), c.HTTP())
		}
	}
	if c := Code("of a later version"); c.Exit() != 1 || c.HTTP() != 500 {
		t.Errorf("an unknown code: %d, %d", c.Exit(), c.HTTP())
	}
}

func TestWrap(t *testing.T) {
	own := &Error{Code: Machine, Message: "no bubblewrap", Field: "runner"}
	id := jobs.ID{Owner: owen, Submitter: rachel, Name: "sum"}
	for _, c := range []struct {
		name  string
		err   error
		code  Code
		field string
	}{
		{"its own", own, Machine, "runner"},
		{"its own, inside", fmt.Errorf("up: %w", own), Machine, "runner"},
		{"its own, joined", errors.Join(errors.New("x"), own), Machine, "runner"},
		{"unknown", errors.New("x"), Unexpected, ""},

		{"account not there", account.ErrNotFound, NotFound, ""},
		{"account not allowed", account.ErrForbidden, Forbidden, ""},
		{"root", account.ErrRootProtected, Protected, ""},
		{"busy", account.ErrBusy, Busy, ""},
		{"broken accounts", account.ErrBroken, Unexpected, ""},
		{"taken", &account.FieldError{Field: "email", Err: account.ErrEmailTaken}, EmailTaken, "email"},
		{"address of an account", &account.FieldError{Field: "email", Err: account.ErrInvalidEmail}, BadEmail, "email"},
		{"role", &account.FieldError{Field: "role", Err: account.ErrUnknownRole}, UnknownRole, "role"},
		{"password", &account.FieldError{Field: "password", Err: account.ErrWeakPassword}, WeakPassword, "password"},
		{"another field", fmt.Errorf("create: %w", &account.FieldError{Field: "website", Err: account.ErrInvalidField}), BadInput, "website"},
		{"address", fmt.Errorf("x: %w", perm.ErrAddress), BadEmail, ""},
		{"level", perm.ErrLevel, BadInput, ""},

		{"other bytes", &jobs.ConflictError{ID: id, Given: "1234"}, Conflict, ""},
		{"other status", &jobs.StatusError{ID: id, Status: jobs.Done}, Conflict, ""},
		{"ambiguous", fmt.Errorf("sum: %w", jobs.ErrAmbiguous), BadInput, ""},
		{"digest", jobs.ErrDigest, BadInput, ""},
		{"dataset of an approval", jobs.ErrDataset, BadInput, ""},
		{"job name", jobs.ErrName, BadInput, ""},

		{"exposed", dataset.ErrExposed, BadInput, ""},
		{"dataset there", fmt.Errorf("make dataset: %w", iofs.ErrExist), Conflict, ""},
		{"broken dataset", dataset.ErrBroken, Unexpected, ""},
		{"side effect", grant.ErrSideEffect, Conflict, ""},
		{"no effect", grant.ErrNoEffect, Conflict, ""},
		{"by hand", grant.ErrByHand, Conflict, ""},
		{"lockout", grant.ErrLockout, Forbidden, ""},
		{"name", datasite.ErrName, BadInput, ""},
		{"stale", datasite.ErrStale, Conflict, ""},

		{"not there", &iofs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, NotFound, ""},
		{"there", &iofs.PathError{Op: "mkdir", Path: "x", Err: syscall.EEXIST}, Conflict, ""},
		{"not empty", syscall.ENOTEMPTY, Conflict, ""},
		{"not permitted", syscall.EACCES, Forbidden, ""},
		{"invalid", iofs.ErrInvalid, BadInput, ""},
		{"invalid argument", syscall.EINVAL, BadInput, ""},
		{"not a folder", syscall.ENOTDIR, BadInput, ""},
		{"a folder", syscall.EISDIR, BadInput, ""},
		{"long name", syscall.ENAMETOOLONG, BadInput, ""},
		{"not supported", syscall.EOPNOTSUPP, Machine, ""},
		{"disk full", syscall.ENOSPC, Unexpected, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := Wrap(c.err)
			if e.Code != c.code || e.Field != c.field || e.Message == "" || !errors.Is(e, c.err) && !errors.Is(c.err, e) {
				t.Errorf("got %s %q %q, want %s %q", e.Code, e.Field, e.Message, c.code, c.field)
			}
			if _, ok := table[e.Code]; !ok {
				t.Errorf("%s is in no table", e.Code)
			}
		})
	}
	if Wrap(nil) != nil || wrapped(nil) != nil {
		t.Error("no error became one")
	}
}

func TestErrorInJSON(t *testing.T) {
	b, err := json.Marshal(&Error{Code: EmailTaken, Message: "m", Field: "email", Err: errors.New("cause, which may name a secret")})
	must(t, err)
	if want := `{"code":"email_taken","message":"m","field":"email"}`; string(b) != want {
		t.Errorf("%s", b)
	}
	b, err = json.Marshal(&Error{Code: NotFound, Message: "m"})
	must(t, err)
	if want := `{"code":"not_found","message":"m"}`; string(b) != want {
		t.Errorf("%s", b)
	}
}
