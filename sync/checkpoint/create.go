package checkpoint

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/sync/wire"
)

// Full is a full checkpoint that was made.
type Full struct {
	At    wire.Time // when; it is in its name
	Files int
}

// Create makes a full checkpoint of the files on disk now. It replaces all that is older: the other full checkpoints, the rolling state, and
// the increments. A file that is not text is wire.ErrBinary, and nothing is changed.
func (k *Keeper) Create(ctx context.Context) (Full, error) {
	if err := k.take(ctx); err != nil {
		return Full{}, fmt.Errorf("create checkpoint: %w", err)
	}
	defer k.give()
	if err := k.begin(ctx); err != nil {
		return Full{}, fmt.Errorf("create checkpoint: %w", err)
	}
	// The files are read afterwards, so that they are at least as new.
	last := max(k.rec.Seen, k.rec.Covered)
	files, err := k.files(ctx)
	if err != nil {
		return Full{}, fmt.Errorf("create checkpoint: %w", err)
	}
	full := wire.Checkpoint{At: k.time(), Owner: k.cfg.Owner.User(), Last: last, Files: files}
	body, err := k.cfg.Codec.EncodeCheckpoint(full)
	if errors.Is(err, wire.ErrBinary) {
		err = fmt.Errorf("%w; a new machine starts from the increments instead, which hold everything and are made by themselves", err)
	}
	if err != nil {
		return Full{}, fmt.Errorf("create checkpoint: %w", err)
	}
	if err := k.replace(ctx, "create", piece{Kind: wire.CheckpointFile, At: full.At, Last: last}, body, k.older(wire.IncrementFile, wire.RollingFile, wire.CheckpointFile)); err != nil {
		return Full{}, fmt.Errorf("create checkpoint: %w", err)
	}
	return Full{At: full.At, Files: len(files)}, nil
}

// files reads all files that travel.
func (k *Keeper) files(ctx context.Context) ([]wire.File, error) {
	var files []wire.File
	err := k.cfg.Tree.Files(ctx, datasite.Path{Owner: k.cfg.Owner.User()}, func(p datasite.Path) error {
		if k.cfg.Codec.CheckPath(p) != nil {
			return nil
		}
		r, _, err := k.cfg.Tree.Snapshot(ctx, p)
		if errors.Is(err, iofs.ErrNotExist) {
			return nil // it went meanwhile
		}
		if err != nil {
			return err
		}
		content, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		files = append(files, wire.File{Path: p, Hash: sha256.Sum256(content), Content: content})
		return nil
	})
	return files, err
}
