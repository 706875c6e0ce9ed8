package service

import (
	"context"
	"slices"
	"strings"

	"github.com/openmined/syftfs/fs/dataset"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
)

// DatasetSharing is the question of `syftfs dataset share` and `syftfs dataset unshare`.
type DatasetSharing struct {
	Name    string   `json:"name"`
	Readers []string `json:"readers"` // addresses, or any for everybody
}

// DatasetShare lets people read the mock part of a dataset.
func (s *Service) DatasetShare(ctx context.Context, c Caller, q DatasetSharing) (Dataset, error) {
	return s.datasetSharing(ctx, c, "share", q, dataset.Share)
}

// DatasetUnshare takes that from them. Copies that they have stay with them.
func (s *Service) DatasetUnshare(ctx context.Context, c Caller, q DatasetSharing) (Dataset, error) {
	return s.datasetSharing(ctx, c, "unshare", q, dataset.Unshare)
}

func (s *Service) datasetSharing(ctx context.Context, c Caller, verb string, q DatasetSharing,
	do func(context.Context, *guard.View, string, ...string) (dataset.Dataset, error)) (Dataset, error) {
	if err := s.admin(c, "to "+verb+" datasets"); err != nil {
		return Dataset{}, err
	}
	if len(q.Readers) == 0 {
		return Dataset{}, &Error{Code: BadInput, Field: "readers", Message: "say whom it is about: addresses, or any for everybody"}
	}
	d, err := audited(s, c, Entry{Action: "dataset." + verb, Target: q.Name + " " + strings.Join(q.Readers, " ")}, func() (dataset.Dataset, error) {
		return do(ctx, s.View, q.Name, slices.Clone(q.Readers)...)
	})
	if err != nil {
		return Dataset{}, err
	}
	return told(d), nil
}

// DatasetDeletion is the question of `syftfs dataset delete`.
type DatasetDeletion struct {
	Name    string `json:"name"`
	Private bool   `json:"private"` // the private part too, which may be the only copy
}

// DatasetDeleted tells what was deleted.
type DatasetDeleted struct {
	Name    string `json:"name"`
	Mock    bool   `json:"mock"`
	Private bool   `json:"private"`
	Left    string `json:"left,omitempty"` // where the private part stays
}

// DatasetDelete deletes a dataset. Copies that others have stay with them.
func (s *Service) DatasetDelete(ctx context.Context, c Caller, q DatasetDeletion) (DatasetDeleted, error) {
	if err := s.admin(c, "deleting datasets"); err != nil {
		return DatasetDeleted{}, err
	}
	target := q.Name
	if q.Private {
		target += " with its private part"
	}
	d, err := audited(s, c, Entry{Action: "dataset.delete", Target: target}, func() (dataset.Deleted, error) { return dataset.Delete(ctx, s.View, q.Name, q.Private) })
	if err != nil {
		return DatasetDeleted{}, err
	}
	a := DatasetDeleted{Name: q.Name, Mock: d.Mock, Private: d.Private}
	if d.Left != (datasite.Path{}) {
		a.Left = d.Left.String()
	}
	return a, nil
}
