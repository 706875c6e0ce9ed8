package integration

import (
	"fmt"
	"go/parser"
	"go/token"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/openmined/syftfs"

// goFile is one Go file of the repository, with its imports.
type goFile struct {
	path    string // relative to the repository, slash separated
	dir     string
	pkg     string
	test    bool
	imports []goImport
}

type goImport struct {
	alias, path string
}

// goFiles parses the head of every Go file of the repository.
func goFiles(t *testing.T) []goFile {
	t.Helper()
	root := repoRoot(t)
	var files []goFile
	err := filepath.WalkDir(root, func(p string, e iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if name := e.Name(); p != root && (strings.HasPrefix(name, ".") || name == "testdata") {
				return iofs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		g := goFile{path: filepath.ToSlash(rel), dir: filepath.ToSlash(filepath.Dir(rel)), pkg: f.Name.Name, test: strings.HasSuffix(p, "_test.go")}
		for _, im := range f.Imports {
			path, err := strconv.Unquote(im.Path.Value)
			if err != nil {
				return err
			}
			alias := ""
			if im.Name != nil {
				alias = im.Name.Name
			}
			g.imports = append(g.imports, goImport{alias, path})
		}
		files = append(files, g)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("only %d Go files found below %s", len(files), root)
	}
	return files
}

func repoRoot(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// readArrows parses arrows.txt.
func readArrows(text string) (map[string][]string, error) {
	arrows := map[string][]string{}
	for n, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		from, to, ok := strings.Cut(line, "->")
		if !ok {
			return nil, fmt.Errorf("arrows.txt line %d: no ->", n+1)
		}
		from = strings.TrimSpace(from)
		if _, twice := arrows[from]; twice {
			return nil, fmt.Errorf("arrows.txt line %d: %s stands twice", n+1, from)
		}
		arrows[from] = strings.Fields(to)
	}
	return arrows, nil
}

// forbidden lists the imports between packages of this module that arrows does not allow.
func forbidden(files []goFile, arrows map[string][]string) []string {
	var bad []string
	for _, f := range files {
		if f.test {
			continue
		}
		allowed, listed := arrows[f.dir]
		if !listed {
			bad = append(bad, f.dir+": not in arrows.txt ("+f.path+")")
			continue
		}
		for _, im := range f.imports {
			to, ours := strings.CutPrefix(im.path, module+"/")
			if ours && (slices.Contains(allowed, "-"+to) || !slices.Contains(allowed, to) && !slices.Contains(allowed, "*")) {
				bad = append(bad, f.path+": "+f.dir+" -> "+to)
			}
		}
	}
	return bad
}

func TestArrows(t *testing.T) {
	text, err := os.ReadFile("arrows.txt")
	if err != nil {
		t.Fatal(err)
	}
	arrows, err := readArrows(string(text))
	if err != nil {
		t.Fatal(err)
	}
	files := goFiles(t)
	for _, b := range forbidden(files, arrows) {
		t.Error(b)
	}
	dirs := map[string]bool{}
	for _, f := range files {
		dirs[f.dir] = true
	}
	for from, to := range arrows {
		for _, d := range append([]string{from}, to...) {
			if d = strings.TrimPrefix(d, "-"); d != "*" && !dirs[d] {
				t.Errorf("arrows.txt names %s, which has no Go file", d)
			}
		}
	}
}

// TestArrowsCheck shows that the check fails where it should.
func TestArrowsCheck(t *testing.T) {
	files := []goFile{
		{path: "perm/a.go", dir: "perm", imports: []goImport{{"", module + "/fs/guard"}}},
		{path: "fs/guard/a.go", dir: "fs/guard", imports: []goImport{{"", module + "/perm"}, {"", "os"}}},
		{path: "new/a.go", dir: "new"},
		{path: "perm/a_test.go", dir: "perm", test: true, imports: []goImport{{"", module + "/jobs"}}},
	}
	got := forbidden(files, map[string][]string{"perm": nil, "fs/guard": {"perm"}})
	want := []string{"perm/a.go: perm -> fs/guard", "new: not in arrows.txt (new/a.go)"}
	if !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}
