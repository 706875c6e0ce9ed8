package perm

import (
	"slices"
	"sync/atomic"
)

// reign says which rule files speak for a folder's contents, and for every folder below that has none of its own.
// It never changes.
type reign struct {
	files []*file // none: no rule file; one syft.pub.yaml or broken file; or syftperm.yaml files from the top down
	final bool    // a terminal or a broken file: deeper files are ignored
}

func (g *reign) kind() Kind {
	if len(g.files) == 0 {
		return 0
	}
	return g.files[len(g.files)-1].kind
}

func (g *reign) last() *file {
	if len(g.files) == 0 {
		return nil
	}
	return g.files[len(g.files)-1]
}

func (g *reign) has(f *file) bool { return slices.Contains(g.files, f) }

// below gives the reign in a folder that holds own, under g, which is not final.
func (g *reign) below(own *file) *reign {
	switch {
	case own == nil:
		return g
	case own.broken != nil:
		return &reign{files: []*file{own}, final: true}
	case own.kind == KindPub:
		return &reign{files: []*file{own}, final: own.terminal}
	case g.kind() == KindPerm:
		return &reign{files: append(g.files[:len(g.files):len(g.files)], own)}
	}
	return &reign{files: []*file{own}} // a syft.pub.yaml above replaces everything above itself
}

// overItself gives the reign over the folder that holds own, under g: a syft.pub.yaml covers its own folder, a
// syftperm.yaml only what is below.
func (g *reign) overItself(own *file) *reign {
	if own != nil && own.broken == nil && own.kind == KindPerm {
		return g
	}
	return g.below(own)
}

// choose picks the file that counts among those of one folder.
func choose(owner User, dir string, sets []Ruleset, ids *atomic.Uint64) *file {
	var pub, perm *file
	for _, rs := range sets {
		f := compileFile(owner, dir, rs, ids)
		at := &perm
		if rs.Kind != KindPerm {
			at = &pub
		}
		if *at != nil {
			f.fail(errTwoFiles)
		}
		*at = f
	}
	if pub != nil {
		pub.beside = perm
		return pub
	}
	return perm
}
