package checkpoint

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"

	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
	"github.com/openmined/syftfs/sync/wire"
	"pgregory.net/rapid"
)

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func unmarshal(b []byte, v any) error { return json.Unmarshal(b, v) }

// story is what is done to a site; k is made anew after each failure.
type story []func(s *site, k *Keeper) error

func logs(changes files) func(s *site, k *Keeper) error {
	var e = -1
	return func(s *site, k *Keeper) error {
		if e < 0 {
			s.change(changes)
			e = len(s.log) - 1
		}
		return k.Logged(s.t.Context(), s.log[e])
	}
}

func creates(s *site, k *Keeper) error {
	_, err := k.Create(s.t.Context())
	return err
}

// long goes through everything: increments, a merge, a full checkpoint on request, files that are no text, folders and files changing places.
func long() story {
	return story{
		logs(files{"a": "1", "b": "1"}), logs(files{"a": "2"}), logs(files{"c": "1", "d/e": "1"}), logs(files{"b": ""}), logs(files{"a": "3", "f": "x"}),
		logs(files{"d/e": ""}), logs(files{"d": "now a file", "g": "1"}), logs(files{"h": "1", "i": "1", "a": "4"}), creates, logs(files{"a": "5"}),
		logs(files{"bin": "\xff\x00", "c": ""}), logs(files{"j": "1", "k": "1"}), logs(files{"l": "1", "m": "1", "n": "1"}), logs(files{"a": "6", "b": "2", "c": "2"}),
		logs(files{"bin": "text"}), logs(files{"o": "1", "p": "1"}), logs(files{"q": "1", "r": "", "a": "7"}), logs(files{"s": "1", "t": "1", "u": "1"}),
	}
}

// play tells a story; a step that fails is told again by a new process. What new machines end with is checked at every failure and after the step:
// a run without failures is checked after every step by TestUndisturbed.
func (s *site) play(st story) (restarts int) {
	k := s.keeper()
	for n, step := range st {
		for try := 0; ; try++ {
			err := step(s, k)
			if err != nil || try > 0 || n == len(st)-1 {
				s.check(fmt.Sprintf("step %d (%v)", n, err))
			}
			if err == nil {
				break
			}
			if try > 10 {
				s.t.Fatalf("step %d never ends: %v", n, err)
			}
			restarts++
			k = s.keeper()
		}
	}
	return restarts
}

func TestUndisturbed(t *testing.T) {
	s := small(t)
	k := s.keeper()
	for n, step := range long() {
		if err := step(s, k); err != nil {
			t.Fatal(err)
		}
		s.check(fmt.Sprintf("step %d", n))
	}
}

// TestDamage removes or spoils each object in turn, after every step, with and without the record, and fails a write of the record while it is
// mended: the log has everything, so that nothing may be lost once the next message was told.
func TestDamage(t *testing.T) {
	packed := map[string][]byte{}
	steps := len(long())
	for cut := 3; cut < steps; cut += 2 {
		for _, spoil := range []bool{false, true} {
			for victim := 0; ; victim++ {
				s := small(t)
				s.packed = packed
				st := long()
				s.play(st[:cut])
				all := append(s.names(wire.CheckpointsFolder), s.names(wire.RollingFolder)...)
				if victim >= len(all) {
					break
				}
				lost := victim%2 == 1
				if name, _ := wire.ParseFile(all[victim].Name); name.Kind == wire.CheckpointFile && !spoil {
					lost = false // without the record nothing tells that there was one
				}
				junk := remote.Bytes([]byte("junk"))
				err := s.drive.Update(t.Context(), all[victim].ID, remote.Edit{Body: &junk})
				if !spoil {
					err = s.drive.Delete(t.Context(), all[victim].ID)
				}
				if err != nil {
					t.Fatal(err)
				}
				if lost {
					s.mem = &memory{}
				}
				s.mem.writes, s.mem.failAt = 0, 1+(cut+victim)%4
				k := s.keeper()
				for n, step := range st[cut:] {
					for step(s, k) != nil {
						k = s.keeper()
						s.mem.failAt = 0
					}
					if n > 4 {
						break
					}
					if got, last := s.restored(t.Context()); !maps.Equal(got, s.tree) {
						t.Fatalf("step %d after %s was lost (spoiled %v, record lost %v): restored up to %v\n%v\nwant\n%v\non Drive %v", cut+n, all[victim].Name, spoil, lost, last, got, s.tree, s.count())
					}
				}
			}
		}
	}
}

// small is a site where increments and merges come soon.
func small(t tb) *site {
	s := newSite(t)
	s.every, s.merge = 3, 3
	return s
}

// further is how many calls or writes lie between the first two that fail in one run.
const further = 11

// TestCrashAtEveryUpload fails every call to the store before it was made, and every one that changes something after it, several in one run,
// and restarts.
func TestCrashAtEveryUpload(t *testing.T) {
	packed := map[string][]byte{}
	fired := 0
	for _, line := range []remotetest.Fault{{Stage: remotetest.Before}, {Op: remote.OpPut, Stage: remotetest.After}, {Op: remote.OpUpdate, Stage: remotetest.After}, {Op: remote.OpDelete, Stage: remotetest.After}} {
		line.Count = 1
		for first := range further {
			s := small(t)
			s.packed = packed
			line.Skip = first
			script := []remotetest.Fault{line}
			for len(script) < 20 { // ever farther apart: not at the same place in every try
				line.Skip = further + len(script)
				script = append(script, line)
			}
			s.faulty.Script(script...)
			s.play(long())
			if len(s.faulty.Fired()) == 0 {
				break
			}
			fired += len(s.faulty.Fired())
		}
	}
	if fired < 150 {
		t.Errorf("only %d points", fired)
	}
}

// TestCrashAtEveryRecord fails every write of the record, before it and after it, several in one run, and restarts.
func TestCrashAtEveryRecord(t *testing.T) {
	packed := map[string][]byte{}
	ops := map[string]bool{}
	for _, after := range []bool{false, true} {
		for n := 1; n <= further; n++ {
			s := small(t)
			s.packed = packed
			s.mem.failAt, s.mem.further, s.mem.after = n, further, after
			if s.play(long()) < 3 {
				t.Errorf("only few points at %d", n)
			}
			for _, op := range s.mem.ops {
				ops[op] = true
			}
		}
	}
	for _, op := range []string{"rolling", "rolled", "promote", "merge", "fold", "create", "made", "dropped", "abandon", "taken", "found", "rebuilt"} {
		if !ops["checkpoint:"+op] {
			t.Errorf("never came to %s", op)
		}
	}
}

// TestLostRecord loses all local state after every step: another machine goes on.
func TestLostRecord(t *testing.T) {
	packed := map[string][]byte{}
	for lost := range long() {
		s := small(t)
		s.packed = packed
		st := long()
		s.play(st[:lost])
		s.mem = &memory{}
		s.play(st[lost:])
	}
}

func TestModel(t *testing.T) {
	names := []string{"a", "b", "c", "d/e", "d/f", "g", "h/i", "h/i/j"}
	rapid.Check(t, func(rt *rapid.T) {
		s := small(rt)
		s.every = rapid.IntRange(1, 5).Draw(rt, "every")
		s.merge = rapid.IntRange(2, 4).Draw(rt, "merge")
		s.faulty = remotetest.NewFaulty(s.drive, rapid.Uint64().Draw(rt, "seed"))
		chance := rapid.SampledFrom([]float64{0, 0.05, 0.2}).Draw(rt, "chance")
		k := s.keeper()
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			changes := files{}
			for range rapid.IntRange(1, 3).Draw(rt, "changes") {
				changes[rapid.SampledFrom(names).Draw(rt, "name")] = rapid.SampledFrom([]string{"", "1", "2", "\xfe"}).Draw(rt, "content")
			}
			if !fits(s.tree, changes) {
				continue
			}
			step := logs(changes)
			if rapid.IntRange(0, 9).Draw(rt, "what") == 0 && s.last > 0 {
				step = func(s *site, k *Keeper) error { _, _ = k.Create(rt.Context()); return nil }
			}
			for try := 0; ; try++ {
				if chance > 0 && try < 5 {
					stage := rapid.SampledFrom([]remotetest.Stage{remotetest.Before, remotetest.Halfway, remotetest.After}).Draw(rt, "stage")
					s.faulty.Script(remotetest.Fault{Chance: chance, Stage: stage, Kind: remote.Unavailable})
				} else {
					s.faulty.Script()
				}
				err := step(s, k)
				s.check("model")
				if err == nil {
					break
				}
				if try > 5 {
					rt.Fatal(err)
				}
				if rapid.Bool().Draw(rt, "restart") {
					k = s.keeper()
				}
				if rapid.IntRange(0, 19).Draw(rt, "lost") == 0 {
					s.mem = &memory{}
					k = s.keeper()
				}
			}
		}
	})
}

// fits says whether changes make no file in a folder's place.
func fits(tree, changes files) bool {
	after := files{}
	for p, c := range tree {
		after[p] = c
	}
	for p, c := range changes {
		if c == "" {
			delete(after, p)
		} else {
			after[p] = c
		}
	}
	for p := range after {
		for q := range after {
			if len(q) > len(p) && q[:len(p)+1] == p+"/" {
				return false
			}
		}
	}
	return true
}
