package service

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/datasite"
)

// snapshot lists everything that the world keeps on disk, but for the audit log.
func (w *world) snapshot() []string {
	w.t.Helper()
	var all []string
	must(w.t, filepath.WalkDir(w.dir, func(p string, e os.DirEntry, err error) error {
		if err == nil && filepath.Base(p) != "audit.jsonl" {
			all = append(all, p)
		}
		return err
	}))
	return all
}

// TestOnlyTheOwnerMayAsk: every method that is an operation refuses every caller but the proven owner, before it looks at the question:
// what exists and what does not is refused alike.
func TestOnlyTheOwnerMayAsk(t *testing.T) {
	w := newWorld(t)
	acc := w.user(rachel, "")
	before := w.snapshot()
	v := reflect.ValueOf(w.Service)
	callerType, ctxType := reflect.TypeFor[Caller](), reflect.TypeFor[context.Context]()
	operations := 0
	for i := range v.NumMethod() {
		m, name := v.Method(i), v.Type().Method(i).Name
		mt := m.Type()
		if mt.NumIn() != 3 || mt.In(0) != ctxType || mt.In(1) != callerType || mt.NumOut() != 2 {
			t.Errorf("%s is not an operation: keep it unexported", name)
			continue
		}
		operations++
		for _, c := range []Caller{{}, {Via: "socket", Reason: "uid"}, {Via: "socket", Reason: "namespace"}, {Via: "page", Account: acc.ID}} {
			for _, q := range []reflect.Value{reflect.Zero(mt.In(2)), filled(mt.In(2), acc.ID)} {
				out := m.Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(c), q})
				err, _ := out[1].Interface().(error)
				e, ok := errors.AsType[*Error](err)
				if !ok || e.Code != Forbidden || e.Message == "" {
					t.Errorf("%s by %+v: %v", name, c, err)
				}
				if !out[0].IsZero() {
					t.Errorf("%s by %+v tells %+v", name, c, out[0])
				}
			}
		}
	}
	if operations < 20 {
		t.Errorf("only %d operations found", operations)
	}
	if d := cmp.Diff(before, w.snapshot()); d != "" || w.views.opened > 0 || w.host.down > 0 || len(w.host.admitted) > 0 {
		t.Errorf("something was done: %s", d)
	}
}

// filled is a question whose texts all name something that exists.
func filled(t reflect.Type, text string) reflect.Value {
	q := reflect.New(t).Elem()
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			if f := q.Field(i); f.Kind() == reflect.String {
				f.SetString(text)
			}
		}
	}
	return q
}

// TestWhatIsDoneIsDoneAsTheOwner: the identity that the parts see.
func TestWhatIsDoneIsDoneAsTheOwner(t *testing.T) {
	w := newWorld(t)
	if by := w.by(root); by != (datasite.Identity{Subject: owen}) {
		t.Errorf("%+v", by)
	}
	if by := w.by(Caller{Root: true, Account: "acc_1"}); by != (datasite.Identity{Subject: owen, Account: "acc_1"}) {
		t.Errorf("%+v", by)
	}
}
