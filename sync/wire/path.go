package wire

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// CheckPath reports why a file at p is not sent to anybody, nil if it is: it is not replicated (private, a dataset's, an excluded
// name), or a name in it cannot travel (a backslash, a control character, too long).
func (c Codec) CheckPath(p datasite.Path) error {
	if err := c.checkRel(p.Rel); err != nil {
		return fmt.Errorf("%s: %w", quote(p.String()), err)
	}
	if !p.Replicated() {
		return fmt.Errorf("%s is not replicated: %w", quote(p.String()), ErrPath)
	}
	return nil
}

// checkRel refuses what is no clean relative path of names that can travel.
func (c Codec) checkRel(rel string) error {
	if most := c.Limits.filled().Path; len(rel) > most {
		return fmt.Errorf("path of %d bytes, at most %d are accepted: %w", len(rel), most, ErrLimit)
	}
	if strings.Count(rel, "/") >= maxSegments {
		return fmt.Errorf("path of more than %d names: %w", maxSegments, ErrLimit)
	}
	for name := range strings.SplitSeq(rel, "/") {
		if err := checkSegment(name); err != nil {
			return err
		}
	}
	return nil
}

// maxSegments is how deep a file may lie in its datasite.
const maxSegments = 64

// checkSegment refuses a name that no datasite holds, or that another system or a terminal would take for something else.
func checkSegment(name string) error {
	if err := datasite.CheckName(name); err != nil {
		return fmt.Errorf("%s: %w", quote(name), ErrPath)
	}
	if strings.ContainsRune(name, '\\') {
		return fmt.Errorf("%s holds a backslash: %w", quote(name), ErrPath)
	}
	if !printable(name) {
		return fmt.Errorf("%s holds a control character: %w", quote(name), ErrPath)
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// decodePath reads the path of a file of owner's. "a//b" and "./a" are taken as Python takes them; ".." and a leading "/" are not.
// Below the job folders of a scientist the address stands as it is spelled on Drive, in the tree it is canonical.
func (c Codec) decodePath(owner perm.User, s string) (datasite.Path, error) {
	if len(s) > 2*c.Limits.filled().Path {
		return datasite.Path{}, fmt.Errorf("path of %d bytes: %w", len(s), ErrLimit)
	}
	if strings.HasPrefix(s, "/") {
		return datasite.Path{}, fmt.Errorf("%s is absolute: %w", quote(s), ErrPath)
	}
	for name := range strings.SplitSeq(s, "/") {
		if name == ".." {
			return datasite.Path{}, fmt.Errorf("%s climbs: %w", quote(s), ErrPath)
		}
	}
	rel := path.Clean(s)
	if err := c.checkRel(rel); err != nil {
		return datasite.Path{}, err
	}
	head, who, rest := jobAddress(rel)
	if who != "" {
		if a, err := ParseAddress(who); err == nil {
			rel = head + string(a.User()) + rest
		}
	}
	return datasite.Path{Owner: owner, Rel: rel}, nil
}

// encodePath writes a path with the scientist's address as it is spelled on Drive.
func (c Codec) encodePath(p datasite.Path) (string, error) {
	if err := c.CheckPath(p); err != nil {
		return "", err
	}
	head, who, rest := jobAddress(p.Rel)
	if who == "" {
		return p.Rel, nil
	}
	u, err := perm.ParseUser(who)
	if err != nil || string(u) != who {
		return p.Rel, nil // no address: a file that somebody put there
	}
	a, err := c.spelled(u)
	if err != nil {
		return "", err
	}
	return head + string(a) + rest, nil
}

// jobAddress splits "app_data/job/inbox/<who>/rest" around who, which is "" elsewhere.
func jobAddress(rel string) (head, who, rest string) {
	for _, dir := range []string{datasite.JobInboxDir, datasite.JobReviewDir} {
		if below, ok := strings.CutPrefix(rel, dir+"/"); ok {
			who, _, _ := strings.Cut(below, "/")
			return dir + "/", who, below[len(who):]
		}
	}
	return rel, "", ""
}

// shape follows what the changes of one message do to a tree, in order, to see that each can be done: a Python client stops for good
// at a file in the place of a folder, or the other way round.
type shape struct {
	files map[string]bool
	dirs  map[string]int // how many of files lie below
}

func newShape(n int) *shape {
	return &shape{files: make(map[string]bool, n), dirs: make(map[string]int, n)}
}

// apply follows one change of a file.
func (s *shape) apply(op datasite.Op, rel string) error {
	if op == datasite.OpRemove {
		s.remove(rel)
		return nil
	}
	return s.write(rel)
}

func (s *shape) write(rel string) error {
	if s.dirs[rel] > 0 {
		return fmt.Errorf("%s is a file and a folder: %w", quote(rel), ErrDuplicate)
	}
	for dir := path.Dir(rel); dir != "."; dir = path.Dir(dir) {
		if s.files[dir] {
			return fmt.Errorf("%s is a file, and a folder for %s: %w", quote(dir), quote(rel), ErrDuplicate)
		}
	}
	if !s.files[rel] {
		s.count(rel, 1)
	}
	s.files[rel] = true
	return nil
}

func (s *shape) remove(rel string) {
	if s.files[rel] {
		s.count(rel, -1)
		delete(s.files, rel)
	}
}

func (s *shape) count(rel string, by int) {
	for dir := path.Dir(rel); dir != "."; dir = path.Dir(dir) {
		s.dirs[dir] += by
	}
}
