package replica

import (
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

const (
	copyMark   = ".conflict-"
	copyTime   = "20060102T150405Z"
	copyDigits = 8
	maxName    = 255
)

// copyName names the copy of ours at p: by the time of the message that took its place, by whose it is, and by its bytes. So deciding
// again after a crash gives the same name, and no two versions have one.
func copyName(p datasite.Path, ours datasite.Hash, by perm.User, at time.Time) datasite.Path {
	mark := copyMark + at.UTC().Format(copyTime) + "-" + string(by) + "-" + ours.String()[:copyDigits]
	ext := path.Ext(p.Base())
	stem := strings.TrimSuffix(p.Base(), ext)
	if stem == "" || len(mark)+len(ext) >= maxName {
		stem, ext = p.Base(), ""
	}
	for len(stem)+len(mark)+len(ext) > maxName && stem != "" {
		_, n := utf8.DecodeLastRuneInString(stem)
		stem = stem[:len(stem)-n]
	}
	return p.Parent().Join(stem + mark + ext)
}

// isCopy reports whether a file of this name is such a copy: it stays on the machine that made it until it is renamed.
func isCopy(name string) bool {
	_, rest, ok := strings.Cut(name, copyMark)
	if !ok || len(rest) < len(copyTime)+1 || rest[len(copyTime)] != '-' {
		return false
	}
	if _, err := time.Parse(copyTime, rest[:len(copyTime)]); err != nil {
		return false
	}
	for rest = rest[len(copyTime)+1:]; ; { // behind the digits there may be an extension, and an address may hold dashes
		cut := strings.LastIndexByte(rest, '-')
		if cut < 0 {
			return false
		}
		digits, _, _ := strings.Cut(rest[cut+1:], ".")
		rest = rest[:cut]
		if len(digits) == copyDigits && strings.Trim(digits, "0123456789abcdef") == "" {
			_, err := perm.ParseUser(rest)
			return err == nil
		}
	}
}
