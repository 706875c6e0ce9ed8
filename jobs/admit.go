package jobs

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// Admit makes the folders of a scientist: an inbox that ds may write, and a review folder that ds may read. A rule file that is already
// there stays as it is. The owner needs neither.
func Admit(ctx context.Context, tree Tree, owner perm.User, ds perm.User) error {
	if ds == owner || ds == perm.Anonymous || ds == "" {
		return nil
	}
	for _, f := range []struct{ dir, level string }{{datasite.JobInboxDir, "write"}, {datasite.JobReviewDir, "read"}} {
		p := datasite.Path{Owner: owner}.Join(f.dir, string(ds), datasite.PubFile)
		_, err := tree.Stat(ctx, p)
		if err == nil {
			continue
		}
		if !errors.Is(err, iofs.ErrNotExist) {
			return fmt.Errorf("admit %s: %w", ds, err)
		}
		access := map[string]any{"admin": []any{}, "read": []any{}, "write": []any{}}
		access[f.level] = []string{string(ds)}
		body, err := yamlMap(map[string]any{"rules": []any{map[string]any{"access": access, "pattern": "**"}}, "terminal": false})
		if err == nil {
			err = tree.Write(ctx, p, body)
		}
		if err != nil {
			return fmt.Errorf("admit %s: %w", ds, err)
		}
	}
	return nil
}
