package service

import (
	"context"
	"path/filepath"

	"github.com/openmined/syftfs/fs/dataset"
	"github.com/openmined/syftfs/fs/datasite"
)

// NewDataset is the question of `syftfs dataset create`. The paths are absolute, on this machine, of a file or a folder.
type NewDataset struct {
	Name    string   `json:"name"`
	Summary string   `json:"summary"`
	Mock    string   `json:"mock"`
	Private string   `json:"private"`
	Readme  string   `json:"readme"`
	Readers []string `json:"readers"`
}

// Dataset is what is told about a dataset.
type Dataset struct {
	Name    string   `json:"name"`
	Summary string   `json:"summary"`
	Mock    string   `json:"mock"`    // where its mock part lies in the tree
	Private string   `json:"private"` // where its private part lies
	Files   []string `json:"files"`   // of the mock part
	Readers []string `json:"readers"` // of the mock part
	Notes   []string `json:"notes,omitempty"`
	Error   string   `json:"error,omitempty"` // its description cannot be read
}

func told(d dataset.Dataset) Dataset {
	t := Dataset{Name: d.Name, Summary: d.Summary, Mock: d.Mock.String(), Private: d.Private.String(), Files: d.Files, Readers: d.Readers, Notes: d.Notes}
	if d.Err != nil {
		t.Error = d.Err.Error()
	}
	return t
}

// DatasetCreate makes a dataset by copying both parts.
func (s *Service) DatasetCreate(ctx context.Context, c Caller, q NewDataset) (Dataset, error) {
	if err := s.admin(c, "creating datasets"); err != nil {
		return Dataset{}, err
	}
	for _, f := range []struct{ name, path string }{{"mock", q.Mock}, {"private", q.Private}, {"readme", q.Readme}} {
		if f.name == "readme" && f.path == "" {
			continue
		}
		if !filepath.IsAbs(f.path) {
			return Dataset{}, &Error{Code: BadInput, Field: f.name, Message: f.name + " must be an absolute path"}
		}
		if err := s.outside(f.path); err != nil {
			return Dataset{}, &Error{Code: BadInput, Field: f.name, Message: f.name + ": " + err.Error(), Err: err}
		}
	}
	n := dataset.New{Name: q.Name, Summary: q.Summary, Mock: q.Mock, Private: q.Private, Readme: q.Readme, Readers: q.Readers}
	if dir, err := (datasite.Path{Owner: s.Owner, Rel: datasite.PrivateDatasetsDir}).Child(q.Name); err == nil {
		n.DataDir = s.HostPath(dir) // a name that cannot be is refused by Create
	}
	d, err := audited(s, c, Entry{Action: "dataset.create", Target: q.Name}, func() (dataset.Dataset, error) { return dataset.Create(ctx, s.View, n) })
	if err != nil {
		return Dataset{}, err
	}
	return told(d), nil
}

// DatasetList lists the datasets.
func (s *Service) DatasetList(ctx context.Context, c Caller, _ struct{}) ([]Dataset, error) {
	if err := s.admin(c, "listing datasets"); err != nil {
		return nil, err
	}
	all, err := dataset.List(ctx, s.View)
	if err != nil {
		return nil, Wrap(err)
	}
	list := []Dataset{}
	for _, d := range all {
		list = append(list, told(d))
	}
	return list, nil
}
