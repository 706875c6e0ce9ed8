package sandbox

import (
	"embed"
	iofs "io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// compat holds the uv and syft_client stand-ins. Installing dependencies (phase 1: a sandbox run of its own that may reach
// the package index and fills /env) belongs between Ready and the run; until it exists the stand-in takes the place of uv
// even where the real one is installed, because that one could not find anything offline.
//
//go:embed compat
var compat embed.FS

// writeEnv fills /env: bin with uv and python, compat with the module. python is a path inside; without one there is no uv.
func writeEnv(dir, python string) error {
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		return err
	}
	for _, n := range []string{"python", "python3"} {
		if python == "" {
			break
		}
		if err := os.Symlink(python, filepath.Join(dir, "bin", n)); err != nil {
			return err
		}
	}
	return iofs.WalkDir(compat, "compat", func(p string, d iofs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := compat.ReadFile(p)
		if err != nil {
			return err
		}
		at, mode := filepath.Join(dir, p), iofs.FileMode(0o644)
		if p == "compat/uv" {
			at, mode = filepath.Join(dir, "bin", "uv"), 0o755
		}
		return writeFile(at, body, mode)
	})
}

var pythonName = regexp.MustCompile(`^python3\.([0-9]+)$`)

// Python finds the interpreter that jobs get, 3.12 if it is there, else the system's if it is 3.10 or newer.
func Python() (path, version string, ok bool) {
	dirs := []string{"/usr/local/bin", "/usr/bin"}
	for _, d := range dirs {
		if _, err := os.Stat(filepath.Join(d, "python3.12")); err == nil {
			return filepath.Join(d, "python3.12"), "3.12", true
		}
	}
	for _, d := range dirs {
		real, err := filepath.EvalSymlinks(filepath.Join(d, "python3"))
		if err != nil || !strings.HasPrefix(real, "/usr/") {
			continue
		}
		m := pythonName.FindStringSubmatch(filepath.Base(real))
		if m == nil {
			continue
		}
		if minor, err := strconv.Atoi(m[1]); err == nil && minor >= 10 {
			return real, "3." + m[1], true
		}
	}
	return "", "", false
}
