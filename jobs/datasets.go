package jobs

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// What a script names when it asks for a dataset: a literal in a call of a resolver, or in a path.
var (
	resolverCall = regexp.MustCompile(`\bresolve_dataset_files?_path\s*\(\s*(?:\w+\s*=\s*)?[rRuU]?["']([^"'\n]+)["']`)
	codeCall     = regexp.MustCompile(`\bload_dataset_code\s*\(\s*(?:\w+\s*=\s*)?[rRuU]?["']([^"'\n]+?)\.[\w.]+["']`)
	datasetPath  = regexp.MustCompile(`syft_datasets/([^/"'\\\s]+)`)
)

const maxScanBytes = 1 << 20 // of one script

// datasetsOf fills in what may be granted to a pending job and what is granted without a choice: what config.yaml asks for, else what the code names, of
// what is offered. The caller has the turn.
func (e *Engine) datasetsOf(ctx context.Context, j *job) error {
	offered, err := e.cfg.Datasets.Offered(ctx, j.rec.Submitter)
	if err != nil {
		return fmt.Errorf("datasets for %s: %w", j.rec.Submitter, err)
	}
	offered = slices.Clone(offered)
	slices.Sort(offered)
	asked := map[string]bool{}
	if names := j.config.Datasets[string(e.cfg.Owner)]; len(names) > 0 {
		for _, n := range names {
			asked[n] = true
		}
	} else if len(offered) > 0 {
		for _, f := range j.files {
			if ext := filepath.Ext(f.Path); ext != ".py" && ext != ".sh" {
				continue
			}
			if err := named(filepath.Join(e.copyOf(j.rec), filepath.FromSlash(f.Path)), asked); err != nil {
				return err
			}
		}
	}
	j.offered, j.preselected = offered, nil
	for _, n := range offered {
		if asked[n] {
			j.preselected = append(j.preselected, n)
		}
	}
	return nil
}

// named collects what a script may mean.
func named(path string, into map[string]bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxScanBytes))
	if err != nil {
		return err
	}
	for _, re := range []*regexp.Regexp{resolverCall, codeCall, datasetPath} {
		for _, m := range re.FindAllSubmatch(src, -1) {
			into[string(m[1])] = true
		}
	}
	return nil
}

// grant decides which datasets an approval gives: the preselected ones if it says nothing, else exactly those it names, which must be offered.
func grant(j *job, choice []string) ([]string, error) {
	if choice == nil {
		return slices.Clone(j.preselected), nil
	}
	var out, bad []string
	for _, n := range choice {
		switch {
		case !slices.Contains(j.offered, n):
			bad = append(bad, n)
		case !slices.Contains(out, n):
			out = append(out, n)
		}
	}
	if len(bad) > 0 {
		return nil, fmt.Errorf("%s cannot be granted to %s, who may not read the mock part of it, or it does not exist; share the dataset first, or choose of: %s: %w",
			some(bad), j.rec.Submitter, orNone(j.offered), ErrDataset)
	}
	slices.Sort(out)
	return out, nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
