package draft

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/openmined/syftfs/jobs"
)

// What scientists get wrong most: both work at home and fail at the owner.
var (
	resolver = regexp.MustCompile(`\bresolve_dataset_files?_path\s*\([^)]*\bclient\s*=`)
	parts    = regexp.MustCompile(`\.(mock_files|private_files)\b`)
)

const maxScan = 1 << 20 // bytes of one file

// scan gives advice on the Python files of a stored form. It is no check: what cannot be read passes.
func scan(dir string, n *snapshot) []string {
	var out []string
	for _, m := range n.files {
		if path.Ext(m.path) != ".py" || m.size > maxScan {
			continue
		}
		rel := m.path
		if !n.complete {
			rel = path.Join(jobs.CodeDir, rel)
		}
		body, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(rel)))
		if err != nil {
			continue
		}
		switch at, file := 0, strings.TrimPrefix(rel, jobs.CodeDir+"/"); {
		case resolver.Match(body):
			at = lineOf(body, resolver)
			out = append(out, fmt.Sprintf("%s line %d: the resolver is called with client=, which does not exist where the job runs; leave it out", visible(file), at))
		case parts.Match(body):
			at = lineOf(body, parts)
			out = append(out, fmt.Sprintf("%s line %d: .mock_files and .private_files do not exist where the job runs; use resolve_dataset_files_path", visible(file), at))
		}
	}
	return out
}

func lineOf(body []byte, re *regexp.Regexp) int {
	return 1 + bytes.Count(body[:re.FindIndex(body)[0]], []byte("\n"))
}
