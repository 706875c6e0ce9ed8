package draft

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/openmined/syftfs/jobs"
	"golang.org/x/text/unicode/norm"
	"gopkg.in/yaml.v3"
)

func checkName(name string) error {
	if name == "" || len(name) > 200 || !norm.NFC.IsNormalString(name) || strings.ContainsAny(name, "/*?[]{}!\\") ||
		strings.ContainsFunc(name, func(r rune) bool {
			return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == 0x2028 || r == 0x2029
		}) ||
		strings.ContainsAny(name[:1], ".- ") || strings.ContainsAny(name[len(name)-1:], ". ") {
		return fmt.Errorf("bad name")
	}
	return nil
}

func parseConfig(body []byte) (jobs.Config, error) {
	var raw struct {
		Name  string
		Files []string
	}
	err := yaml.Unmarshal(body, &raw)
	return jobs.Config{Name: raw.Name, Files: raw.Files}, err
}

func marshal(c jobs.Config) ([]byte, error) { return yaml.Marshal(c) }

func entrypoint(files []string) (string, error) {
	if slices.Contains(files, "main.py") {
		return "main.py", nil
	}
	var py []string
	for _, f := range files {
		if !strings.Contains(f, "/") && strings.HasSuffix(f, ".py") {
			py = append(py, f)
		}
	}
	if len(py) != 1 {
		return "", errNoEntrypoint
	}
	return py[0], nil
}

func runScript(deps []string, entry string, pyproject bool) ([]byte, error) {
	return []byte(fmt.Sprintf("%q %s %v\n", deps, entry, pyproject)), nil
}

func (f *form) digest() error {
	h := sha256.New()
	return filepath.WalkDir(f.dir, func(p string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !e.IsDir() {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(h, "%d %x %s\n", len(b), sha256.Sum256(b), strings.TrimPrefix(p, f.dir+"/"))
			f.receipt.Files++
			f.receipt.Size += int64(len(b))
		}
		f.receipt.Digest = jobs.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
		return nil
	})
}
