package fusetree

import (
	"os"
	"strconv"
	"strings"
)

// fsType is how our mounts are known in the list of mounts.
const fsType = "fuse.syftfs"

// mounted is one line of /proc/self/mountinfo.
type mounted struct {
	point string
	typ   string
	minor uint32 // of the device: the number of the FUSE connection
}

// mounts gives the mounts of this namespace, the latest last.
func mounts() ([]mounted, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseMounts(string(b)), nil
}

func parseMounts(text string) []mounted {
	var out []mounted
	for line := range strings.Lines(text) {
		left, right, ok := strings.Cut(line, " - ")
		f := strings.Fields(left)
		g := strings.Fields(right)
		if !ok || len(f) < 5 || len(g) < 1 {
			continue
		}
		_, minor, _ := strings.Cut(f[2], ":")
		n, err := strconv.ParseUint(minor, 10, 32)
		if err != nil {
			continue
		}
		out = append(out, mounted{point: unescape(f[4]), typ: g[0], minor: uint32(n)})
	}
	return out
}

// unescape undoes the octal form of blanks, tabs, newlines and backslashes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// onTop is the mount that is seen at point; ok is false if nothing is mounted there.
func onTop(point string) (m mounted, ok bool, err error) {
	all, err := mounts()
	if err != nil {
		return m, false, err
	}
	for _, x := range all {
		if x.point == point {
			m, ok = x, true
		}
	}
	return m, ok, nil
}
