package confine

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data, seccomp(2).
const (
	offsetCall    = 0
	offsetArch    = 4
	offsetRequest = 24 // low half of the second argument, on little-endian machines: the kernel looks at no more of an ioctl request
)

// The returns of a filter, seccomp(2).
const (
	retAllow = 0x7fff0000
	retErrno = 0x00050000
	retKill  = 0x80000000
)

// foreignCalls is where the numbers of the second calling convention of x86-64 begin.
const foreignCalls = 0x40000000

// terminalFilter is a seccomp program, as bubblewrap takes it, that keeps a command from typing into the terminal that it shares with
// its caller: what is typed there would run outside, as the owner.
func terminalFilter() ([]byte, error) {
	info, err := arch.GetInfo("")
	if err != nil {
		return nil, fmt.Errorf("%w: seccomp: %w", ErrMachine, err)
	}
	ioctl, ok := info.SyscallNames["ioctl"]
	if !ok {
		return nil, fmt.Errorf("%w: seccomp does not know the call ioctl for %s", ErrMachine, info.Name)
	}
	refuse := bpf.RetConstant{Val: retErrno | uint32(unix.EPERM)}
	raw, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(info.ID), SkipTrue: 1},
		bpf.RetConstant{Val: retKill},
		bpf.LoadAbsolute{Off: offsetCall, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: foreignCalls, SkipTrue: 1},
		refuse,
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(ioctl), SkipFalse: 4},
		bpf.LoadAbsolute{Off: offsetRequest, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.TIOCSTI, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.TIOCLINUX, SkipTrue: 1},
		refuse,
		bpf.RetConstant{Val: retAllow},
	})
	if err != nil {
		return nil, fmt.Errorf("seccomp: %w", err)
	}
	var b bytes.Buffer
	for _, in := range raw {
		if err := binary.Write(&b, binary.NativeEndian, unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}
