package sandbox

import (
	"fmt"
	"slices"
	"unsafe"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// What a job may not call at all. Namespaces and the lack of capabilities refuse most of it too; this is the second wall.
var refusedCalls = []string{
	"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp", "bpf", "perf_event_open",
	"userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "keyctl", "add_key", "request_key",
	"mount", "umount", "umount2", "pivot_root", "chroot", "open_tree", "open_tree_attr", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick",
	"mount_setattr", "setns", "unshare", "open_by_handle_at", "kexec_load", "kexec_file_load", "init_module", "finit_module",
	"delete_module", "create_module", "reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "syslog", "fanotify_init",
	"iopl", "ioperm", "lookup_dcookie", "nfsservctl", "vhangup", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex",
	"sethostname", "setdomainname",
}

// What the watchdog could not count: memory that hangs on a descriptor or on a key, and is mapped by nobody.
var uncountedCalls = []string{"memfd_create", "memfd_secret", "shmget"}

// Which of them must be known to the library, or the list protects from less than it says.
var requiredCalls = []string{"ptrace", "bpf", "mount", "setns", "unshare", "clone", "clone3", "socket", "personality", "keyctl"}

var namespaceFlags = []uint64{
	unix.CLONE_NEWUSER, unix.CLONE_NEWNS, unix.CLONE_NEWPID, unix.CLONE_NEWNET, unix.CLONE_NEWIPC, unix.CLONE_NEWUTS, unix.CLONE_NEWCGROUP,
}

// policy is the filter, without the part about foreign architectures.
func policy(info *arch.Info, countAll, pinned bool) (seccomp.Policy, error) {
	for _, n := range requiredCalls {
		if _, ok := info.SyscallNames[n]; !ok {
			return seccomp.Policy{}, fmt.Errorf("seccomp: the call %s is not known for %s", n, info.Name)
		}
	}
	refused := slices.Clone(refusedCalls)
	if countAll {
		refused = append(refused, uncountedCalls...)
	}
	if pinned {
		refused = append(refused, "sched_setaffinity")
	}
	refused = slices.DeleteFunc(refused, func(n string) bool { _, ok := info.SyscallNames[n]; return !ok })

	var conditional []seccomp.NameWithConditions
	for _, f := range namespaceFlags {
		conditional = append(conditional, seccomp.NameWithConditions{Name: "clone",
			Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.BitsSet, Value: f}}})
	}
	low := func(arg uint32, not ...uint64) (c seccomp.ArgumentConditions) {
		for _, v := range not {
			c = append(c, seccomp.Condition{Argument: arg, Operation: seccomp.NotEqual, Value: v})
		}
		return c
	}
	conditional = append(conditional,
		seccomp.NameWithConditions{Name: "personality", Conditions: low(0, 0, 0xffffffff)},
		seccomp.NameWithConditions{Name: "socket", Conditions: low(0, unix.AF_UNIX, unix.AF_INET, unix.AF_INET6)},
		seccomp.NameWithConditions{Name: "socketpair", Conditions: low(0, unix.AF_UNIX, unix.AF_INET, unix.AF_INET6)},
	)
	eperm := seccomp.ActionErrno | seccomp.Action(unix.EPERM)
	return seccomp.Policy{
		DefaultAction: seccomp.ActionAllow,
		Syscalls: []seccomp.SyscallGroup{
			// The C library falls back to clone, whose flags can be looked at, when it hears ENOSYS.
			{Names: []string{"clone3"}, Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS)},
			{Names: refused, Action: eperm},
			{NamesWithCondtions: conditional, Action: eperm},
		},
	}, nil
}

// program assembles the whole filter. The library lets calls of a foreign architecture pass when the default is to
// allow, so they are refused in front of it.
func program(countAll, pinned bool) ([]bpf.RawInstruction, error) {
	info, err := arch.GetInfo("")
	if err != nil {
		return nil, fmt.Errorf("seccomp: %w", err)
	}
	p, err := policy(info, countAll, pinned)
	if err != nil {
		return nil, err
	}
	insts, err := p.Assemble()
	if err != nil {
		return nil, fmt.Errorf("seccomp: %w", err)
	}
	const offsetArch = 4 // of struct seccomp_data
	front := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(info.ID), SkipTrue: 1},
		bpf.RetConstant{Val: uint32(seccomp.ActionKillProcess)},
	}
	raw, err := bpf.Assemble(append(front, insts...))
	if err != nil {
		return nil, fmt.Errorf("seccomp: %w", err)
	}
	return raw, nil
}

// confineCalls loads the filter into the calling thread, which must be locked and have no_new_privs.
func confineCalls(countAll, pinned bool) error {
	raw, err := program(countAll, pinned)
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog))); errno != 0 {
		return fmt.Errorf("seccomp: load the filter: %w", errno)
	}
	return nil
}
