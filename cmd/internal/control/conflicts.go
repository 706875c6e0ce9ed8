package control

import (
	"context"

	"github.com/openmined/syftfs/cmd/internal/service"
)

// conflictsTxt lists the files of which two versions are kept.
const conflictsTxt = "conflicts"

// Conflicter lists conflicts; the service fits it.
type Conflicter interface {
	Conflicts(ctx context.Context, c service.Caller, _ struct{}) ([]service.ConflictCopy, error)
}

func (f *Folder) conflictsText(ctx context.Context) (string, error) {
	list, err := f.conflicts.Conflicts(ctx, owner, struct{}{})
	if err != nil {
		return "", err
	}
	return service.Visible(service.ConflictsText(list), true), nil
}
