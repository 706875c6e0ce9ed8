package service

import (
	"context"
	"path/filepath"

	"github.com/openmined/syftfs/fs/dataset"
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
	for name, p := range map[string]string{"mock": q.Mock, "private": q.Private, "readme": q.Readme} {
		if !filepath.IsAbs(p) && (p != "" || name != "readme") {
			return Dataset{}, &Error{Code: BadInput, Field: name, Message: name + " must be an absolute path"}
		}
	}
	d, err := dataset.Create(ctx, s.View, dataset.New{Name: q.Name, Summary: q.Summary, Mock: q.Mock, Private: q.Private, Readme: q.Readme, Readers: q.Readers})
	if err := s.Audit.done(c, "dataset.create", q.Name, err); err != nil {
		return Dataset{}, Wrap(err)
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
