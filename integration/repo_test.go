package integration

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPackageComments: every package has its comment in exactly one file.
func TestPackageComments(t *testing.T) {
	root := repoRoot(t)
	comments := map[string][]string{}
	seen := map[string]bool{}
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		seen[f.dir] = true
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, f.path), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if parsed.Doc != nil && isPackageDoc(parsed) {
			comments[f.dir] = append(comments[f.dir], f.path)
		}
	}
	for dir := range seen {
		if n := len(comments[dir]); n != 1 {
			t.Errorf("%s has %d package comments: %v", dir, n, comments[dir])
		}
	}
}

func isPackageDoc(f *ast.File) bool {
	text := f.Doc.Text()
	return strings.HasPrefix(text, "Package "+f.Name.Name+" ") || f.Name.Name == "main" && strings.HasPrefix(text, "Syftfs ")
}

func TestNames(t *testing.T) {
	vague := []string{"util", "utils", "common", "helpers", "helper", "types", "misc", "data", "global", "manager"}
	aliases := map[string]string{"io/fs": "iofs", "github.com/hanwen/go-fuse/v2/fs": "fusefs", "google.golang.org/api/drive/v3": "gdrive",
		"math/bits": "mathbits", "go.etcd.io/bbolt/errors": "bolterrors", // their names are taken
		"github.com/elastic/go-seccomp-bpf": "seccomp"} // the package's own name, which its path does not tell
	tools := []string{"integration/mountns", "sync/remote/remotetest"} // which no program links: TestArrows
	top := []string{"cmd", "fs", "perm", "sync", "jobs", "integration"}
	for _, f := range goFiles(t) {
		first, _, _ := strings.Cut(f.path, "/")
		if !slices.Contains(top, first) || f.dir == "fs" || f.dir == "sync" || f.dir == "." {
			t.Errorf("%s: no Go file may lie there", f.path)
		}
		base := f.dir[strings.LastIndex(f.dir, "/")+1:]
		if pkg := strings.TrimSuffix(f.pkg, "_test"); pkg != base && pkg != "main" {
			t.Errorf("%s: package %s in a folder called %s", f.path, f.pkg, base)
		}
		if slices.Contains(vague, base) {
			t.Errorf("%s: a package called %s attracts everything", f.path, base)
		}
		for _, im := range f.imports {
			if want := aliases[im.path]; im.alias != want && im.alias != "_" {
				t.Errorf("%s: %q is imported as %q, want %q", f.path, im.path, im.alias, want)
			}
			if im.path == "testing" && !f.test && !slices.Contains(tools, f.dir) {
				t.Errorf("%s: a test's tools in the program", f.path)
			}
		}
	}
}

// TestHonestTests: no test is skipped or waits by the clock, and no file names a machine's own folders.
func TestHonestTests(t *testing.T) {
	root := repoRoot(t)
	naps := regexp.MustCompile(`\bt\.Skip|\bb\.Skip|\btime\.Sleep\(`)
	paths := regexp.MustCompile(`(^|[^a-z.])/(work|farm)/`)
	out, err := exec.Command("git", "-C", root, "ls-files", "-co", "--exclude-standard").Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	for name := range strings.Lines(string(out)) {
		name = strings.TrimSpace(name)
		body, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			continue // deleted and not committed yet
		}
		if strings.HasSuffix(name, "_test.go") && name != "integration/repo_test.go" && naps.Match(body) {
			t.Errorf("%s: %s", name, naps.Find(body))
		}
		if name != "integration/repo_test.go" && paths.Match(body) {
			t.Errorf("%s: %q", name, paths.Find(body))
		}
	}
}
