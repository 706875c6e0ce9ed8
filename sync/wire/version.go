package wire

import (
	"fmt"
	"strconv"
	"strings"
)

// Version is a client's version, X.Y.Z. The zero Version is none.
type Version struct{ Major, Minor, Patch int }

// ParseVersion reads X.Y.Z, three plain numbers; syft-client can compare nothing else.
func ParseVersion(s string) (Version, error) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return Version{}, formatf("%s is not a version like 0.1.117", quote(s))
	}
	var n [3]int
	for i, p := range parts {
		v, err := strconv.Atoi(p)
		if err != nil || strconv.Itoa(v) != p || v < 0 || len(p) > 9 {
			return Version{}, formatf("%s is not a version like 0.1.117", quote(s))
		}
		n[i] = v
	}
	return Version{n[0], n[1], n[2]}, nil
}

// String is X.Y.Z.
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// Sees reports whether a client of version v uses folders of version w: major and minor are equal.
func (v Version) Sees(w Version) bool { return v.Major == w.Major && v.Minor == w.Minor }

// successor is the first version that writes "/" in names of dataset files as "%2F".
var successor = Version{Minor: 10}

// atLeast reports whether v is w or newer.
func (v Version) atLeast(w Version) bool {
	if v.Major != w.Major {
		return v.Major > w.Major
	}
	if v.Minor != w.Minor {
		return v.Minor > w.Minor
	}
	return v.Patch >= w.Patch
}
