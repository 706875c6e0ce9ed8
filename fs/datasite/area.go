package datasite

import (
	"strings"

	"github.com/openmined/syftfs/perm"
)

// Area is the part of a datasite that a path lies in.
type Area uint8

// The areas. Datasets are the folders below public/syft_datasets and private/syft_datasets.
const (
	Other Area = iota
	Public
	Private
	Datasets
	JobInbox
	JobReview
	Rules // a rule file, wherever it lies
)

// The folders of a datasite that have a meaning, relative to it.
const (
	PublicDir          = "public"
	PrivateDir         = "private"
	PublicDatasetsDir  = "public/syft_datasets"
	PrivateDatasetsDir = "private/syft_datasets"
	JobInboxDir        = "app_data/job/inbox"
	JobReviewDir       = "app_data/job/review"
	JobsDir            = "jobs" // virtual
)

// The names of the two kinds of rule file.
const (
	PubFile  = perm.FilePub
	PermFile = perm.FilePerm
)

// IsRuleName reports whether a file of this base name is a rule file, in force or not.
func IsRuleName(name string) bool { return name == PubFile || name == PermFile }

// excluded are names that never leave the machine, at any depth.
var excluded = map[string]bool{
	".venv": true, ".git": true, "__pycache__": true, ".mypy_cache": true, ".pytest_cache": true,
	".ruff_cache": true, "node_modules": true, ".DS_Store": true,
}

// Excluded reports whether a part of the relative path rel is a name that never travels.
func Excluded(rel string) bool {
	for part := range strings.SplitSeq(rel, "/") {
		if excluded[part] {
			return true
		}
	}
	return false
}

// Area tells which part of the datasite p lies in.
func (p Path) Area() Area {
	if p.Rel != "" && IsRuleName(p.Base()) {
		return Rules
	}
	under := func(dir string) bool { return p.Rel == dir || strings.HasPrefix(p.Rel, dir+"/") }
	switch {
	case under(PublicDatasetsDir), under(PrivateDatasetsDir):
		return Datasets
	case under(PublicDir):
		return Public
	case under(PrivateDir):
		return Private
	case under(JobInboxDir):
		return JobInbox
	case under(JobReviewDir):
		return JobReview
	}
	return Other
}

// Replicated reports whether a change at p is sent to peers as an event. Private files never are, and datasets
// travel as collections.
func (p Path) Replicated() bool {
	if p.IsRoot() || p.Rel == "" || Excluded(p.Rel) {
		return false
	}
	if p.Rel == PrivateDir || strings.HasPrefix(p.Rel, PrivateDir+"/") {
		return false
	}
	return p.Area() != Datasets && !strings.HasPrefix(p.Rel, PublicDatasetsDir+"/")
}
