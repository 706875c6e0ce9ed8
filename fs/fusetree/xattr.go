package fusetree

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/openmined/syftfs/fs/virtual"
)

// GetXAttr gives an extended attribute.
func (s *server) GetXAttr(_ <-chan struct{}, in *fuse.InHeader, attr string, dest []byte) (uint32, fuse.Status) {
	var value []byte
	err := s.at(in.NodeId, func(w place) (err error) {
		switch {
		case w.gate:
			value, err = s.view.Xattr(s.ctx, w.path, attr)
			return err
		default:
			a, ok := w.prov.(virtual.Attributes)
			if !ok {
				return syscall.ENODATA
			}
			value, err = a.Xattr(s.ctx, w.rel, attr)
			return err
		}
	}, nil)
	if err != nil {
		return 0, s.status("getxattr", in.NodeId, "", err)
	}
	if len(value) > len(dest) {
		return uint32(len(value)), fuse.ERANGE
	}
	return uint32(copy(dest, value)), fuse.OK
}

// ListXAttr gives the names of a stored file's extended attributes; a provider has none that it lists.
func (s *server) ListXAttr(_ <-chan struct{}, in *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	var names []string
	err := s.at(in.NodeId, func(w place) (err error) {
		if w.gate {
			names, err = s.view.Xattrs(s.ctx, w.path)
		}
		return err
	}, nil)
	if err != nil {
		return 0, s.status("listxattr", in.NodeId, "", err)
	}
	size := 0
	for _, n := range names {
		size += len(n) + 1
	}
	if size > len(dest) {
		return uint32(size), fuse.ERANGE
	}
	at := 0
	for _, n := range names {
		at += copy(dest[at:], n)
		dest[at] = 0
		at++
	}
	return uint32(size), fuse.OK
}

// SetXAttr sets an extended attribute.
func (s *server) SetXAttr(_ <-chan struct{}, in *fuse.SetXAttrIn, attr string, data []byte) fuse.Status {
	value := append([]byte{}, data...) // never nil, and not the kernel's buffer
	err := s.changeXattr(in.NodeId, func(w place) error {
		if w.gate {
			return s.view.SetXattr(s.ctx, w.path, attr, value, int(in.Flags))
		}
		a, ok := w.prov.(virtual.Attributes)
		if !ok {
			return syscall.EOPNOTSUPP
		}
		return a.SetXattr(s.ctx, w.rel, attr, value)
	})
	return s.status("setxattr", in.NodeId, "", err)
}

// RemoveXAttr removes an extended attribute; a provider is given a nil value.
func (s *server) RemoveXAttr(_ <-chan struct{}, in *fuse.InHeader, attr string) fuse.Status {
	err := s.changeXattr(in.NodeId, func(w place) error {
		if w.gate {
			return s.view.RemoveXattr(s.ctx, w.path, attr)
		}
		a, ok := w.prov.(virtual.Attributes)
		if !ok {
			return syscall.EOPNOTSUPP
		}
		return a.SetXattr(s.ctx, w.rel, attr, nil)
	})
	return s.status("removexattr", in.NodeId, "", err)
}

func (s *server) changeXattr(id uint64, do func(place) error) error {
	if s.readOnly {
		return syscall.EROFS
	}
	return s.at(id, func(w place) error {
		err := do(w)
		if err == nil && w.gate {
			s.touched(w.node, w.path)
		}
		return err
	}, nil)
}
