//go:build long

package soak

import (
	"fmt"
	"path"
	"strings"
	"testing"
)

// level is what a rule gives somebody.
type level int

const (
	none level = iota
	read
	create
	write
	admin
)

const ruleFile = "syft.pub.yaml"

// place is a file's place: the datasite and the path in it.
type place struct{ owner, rel string }

// reader is somebody and a place in somebody else's datasite.
type reader struct {
	who string
	at  place
}

// model is what may be where. What people see is read from their mounts; the model says which of it has to be kept, and who may have it.
type model struct {
	rules   map[place]map[string]level // by folder
	written map[string]place           // every content that was acknowledged
	retired map[string]bool            // contents that somebody who saw them replaced or removed
	mayHave map[string]map[string]bool // by content: who could read it, or made it
	flying  map[place][]string         // proposed since the last quiet point: when they arrive is not known
	unread  map[reader]bool            // could not be read at some moment since both sides were last seen to be equal
	story   map[place][]string         // what was done there, for a failure
}

func newModel() *model {
	return &model{rules: map[place]map[string]level{}, written: map[string]place{}, retired: map[string]bool{}, mayHave: map[string]map[string]bool{},
		flying: map[place][]string{}, unread: map[reader]bool{}, story: map[place][]string{}}
}

// level is what the rules give who on a file: the innermost rule file decides.
func (m *model) level(who string, at place) level {
	if who == at.owner {
		return admin
	}
	for dir := path.Dir(at.rel); dir != "."; dir = path.Dir(dir) {
		if r, ok := m.rules[place{at.owner, dir}]; ok {
			return r[who]
		}
	}
	return none
}

// has notes that a content lies at a place, so that whoever may read it there may have it.
func (m *model) has(at place, content string) {
	for _, who := range people {
		if m.level(who, at) >= read {
			m.grant(who, content)
		}
	}
}

func (m *model) grant(who, content string) {
	if m.mayHave[content] == nil {
		m.mayHave[content] = map[string]bool{}
	}
	m.mayHave[content][who] = true
}

// wrote notes that who replaced old, which it saw, by content; both may be empty.
func (m *model) wrote(who string, at place, old, content string) {
	if old != "" {
		m.retired[old] = true
	}
	if content == "" {
		return
	}
	m.written[content] = at
	delete(m.retired, content)
	m.grant(who, content)
	m.has(at, content)
	if who != at.owner {
		m.flying[at] = append(m.flying[at], content)
	}
}

// ruled notes that the rules of a folder changed; lies is what its owner has in it.
func (m *model) ruled(folder place, lies map[string]string) {
	for rel, content := range lies {
		m.has(place{folder.owner, rel}, content)
	}
	for at, all := range m.flying {
		for _, content := range all {
			m.has(at, content)
		}
	}
}

// note adds to what was done at a place.
func (m *model) note(at place, format string, args ...any) {
	m.story[at] = append(m.story[at], fmt.Sprintf(format, args...))
}

// ruleText is a rule file that gives these levels.
func ruleText(levels map[string]level) string {
	lists := map[level][]string{}
	for _, who := range people {
		lists[levels[who]] = append(lists[levels[who]], `"`+who+`"`)
	}
	return fmt.Sprintf("rules:\n- pattern: \"**\"\n  access:\n    read: [%s]\n    create: [%s]\n    write: [%s]\n    admin: [%s]\n",
		strings.Join(lists[read], ", "), strings.Join(lists[create], ", "), strings.Join(lists[write], ", "), strings.Join(lists[admin], ", "))
}

// world is all that takes part.
type world struct {
	t      testing.TB
	seed   uint64
	n      int // the operation
	rounds int // one in so many operations waits for an exchange
	c      dice
	m      *model
	drive  *drive
	sites  []*site
	counts map[string]int
	jobs   []place // submitted: the owner it went to, and "submitter/name"
}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{t: t, seed: seed, c: newDice(seed), m: newModel(), drive: newDrive(t), counts: map[string]int{}}
	for _, who := range people {
		w.sites = append(w.sites, newSite(t, w.drive, who))
	}
	befriend(t, w.sites)
	for _, s := range w.sites {
		for _, top := range tops {
			w.setRules(s, top, w.anyLevels(s.who))
		}
	}
	return w
}

func (w *world) site(who string) *site {
	for _, s := range w.sites {
		if s.who == who {
			return s
		}
	}
	w.t.Fatalf("there is no %s", who)
	return nil
}
