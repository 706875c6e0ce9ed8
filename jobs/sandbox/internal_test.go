package sandbox

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// TestFilter runs the very program that is loaded, in an interpreter.
func TestFilter(t *testing.T) {
	const (
		allow  = uint32(unix.SECCOMP_RET_ALLOW)
		eperm  = uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.EPERM)
		enosys = uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.ENOSYS)
		kill   = uint32(unix.SECCOMP_RET_KILL_PROCESS)
	)
	info, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		call    string
		arg     uint64
		watched bool // no cgroups: what cannot be counted, and moving to other processors, is refused
		want    uint32
	}{
		{"read", "read", 0, true, allow},
		{"execve", "execve", 0, true, allow},
		{"ptrace", "ptrace", 0, false, eperm},
		{"mount", "mount", 0, false, eperm},
		{"new kinds of mount", "move_mount", 0, false, eperm},
		{"keys", "keyctl", 0, false, eperm},
		{"io_uring", "io_uring_setup", 0, false, eperm},
		{"a thread", "clone", unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_SYSVSEM, false, allow},
		{"a process", "clone", uint64(unix.SIGCHLD), false, allow},
		{"a user namespace", "clone", unix.CLONE_NEWUSER | uint64(unix.SIGCHLD), false, eperm},
		{"a mount namespace", "clone", unix.CLONE_NEWNS, false, eperm},
		{"a network namespace", "clone", unix.CLONE_NEWNET, false, eperm},
		{"clone3", "clone3", 0, false, enosys},
		{"unix socket", "socket", unix.AF_UNIX, false, allow},
		{"internet socket", "socket", unix.AF_INET6, false, allow},
		{"netlink socket", "socket", unix.AF_NETLINK, false, eperm},
		{"packet socket", "socket", unix.AF_PACKET, false, eperm},
		{"vsock socket", "socket", unix.AF_VSOCK, false, eperm},
		{"pair of sockets", "socketpair", unix.AF_UNIX, false, allow},
		{"personality of Linux", "personality", 0, false, allow},
		{"asks for its personality", "personality", 0xffffffff, false, allow},
		{"no random addresses", "personality", 0x0040000, false, eperm},
		{"memory on a descriptor, counted", "memfd_create", 0, false, allow},
		{"memory on a descriptor, not counted", "memfd_create", 0, true, eperm},
		{"other processors", "sched_setaffinity", 0, true, eperm},
	}
	run := func(t *testing.T, architecture, nr uint32, arg uint64, watched bool) uint32 {
		t.Helper()
		raw, err := program(watched, watched)
		if err != nil {
			t.Fatal(err)
		}
		insts, ok := bpf.Disassemble(raw)
		if !ok {
			t.Fatal("not all instructions are known")
		}
		vm, err := bpf.NewVM(insts)
		if err != nil {
			t.Fatal(err)
		}
		// The interpreter reads words in network order; a word of seccomp_data is whole.
		data := binary.BigEndian.AppendUint32(nil, nr)
		data = binary.BigEndian.AppendUint32(data, architecture)
		data = append(data, make([]byte, 8)...)
		data = binary.BigEndian.AppendUint32(data, uint32(arg))
		data = binary.BigEndian.AppendUint32(data, uint32(arg>>32))
		got, err := vm.Run(append(data, make([]byte, 40)...))
		if err != nil {
			t.Fatal(err)
		}
		return uint32(got)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			nr, ok := info.SyscallNames[tt.call]
			if !ok {
				t.Fatalf("%s is not known", tt.call)
			}
			if got := run(t, uint32(info.ID), uint32(nr), tt.arg, tt.watched); got != tt.want {
				t.Errorf("%#x, want %#x", got, tt.want)
			}
		})
	}
	t.Run("foreign architecture", func(t *testing.T) {
		if got := run(t, uint32(arch.I386.ID), 3, 0, false); got != kill {
			t.Errorf("%#x", got)
		}
	})
	t.Run("x32", func(t *testing.T) {
		if info.ID != arch.X86_64.ID {
			return
		}
		if got := run(t, uint32(info.ID), 0x40000000|59, 0, false); got != enosys {
			t.Errorf("%#x", got)
		}
	})
}

// TestCapped: whatever the pieces, the file holds the head, the tail, and the number of bytes between.
func TestCapped(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		f, err := os.Create(filepath.Join(dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		limit := rapid.Int64Range(10, 200).Draw(t, "limit")
		c := newCapped(f, limit)
		var all []byte
		for _, n := range rapid.SliceOf(rapid.IntRange(0, 300)).Draw(t, "pieces") {
			piece := make([]byte, n)
			for i := range piece {
				piece[i] = byte('a' + (len(all)+i)%26)
			}
			all = append(all, piece...)
			if _, err := c.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.finish(); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		head := limit / 10 * 8
		tail := limit - head
		want := all
		if over := int64(len(all)) - limit; over > 0 {
			mark := []byte("\n--- " + itoa(over) + " BYTES LEFT OUT ---\n")
			want = bytes.Join([][]byte{all[:head], mark, all[int64(len(all))-tail:]}, nil)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("limit %d:\n%q\nwant\n%q", limit, got, want)
		}
	})
}

func itoa(n int64) string { return strings.TrimSpace(string(appendInt(nil, n))) }

func appendInt(b []byte, n int64) []byte {
	if n >= 10 {
		b = appendInt(b, n/10)
	}
	return append(b, byte('0'+n%10))
}

func TestUnwanted(t *testing.T) {
	tests := map[string]bool{
		"result.csv": false, "Ergebnis ä.txt": false, "a b": false, "syft.pub.yaml.csv": false,
		"syft.pub.yaml": true, "SYFT.PUB.YAML": true, "\u017fyft.pub.yaml": true, "syftperm.yaml": true, ".x": true, "a\tb": true, "a\x7f": true,
		"\xff": true, "__pycache__": true, "node_modules": true, "\u0085": true,
	}
	for name, want := range tests {
		if got := unwanted(name) != ""; got != want {
			t.Errorf("%q: %v", name, unwanted(name))
		}
	}
}

func TestParseStatus(t *testing.T) {
	got := parseStatus([]byte("Name:\tx: y\nUmask:\t0022\nNSpid:\t12\t3\nRssAnon:\t     100 kB\nRssFile:\t 7 kB\nRssShmem:\t       5 kB\nVmSwap:\t 2 kB\nThreads:\t4\n"))
	want := process{inner: 3, threads: 4, anon: 100 << 10, shmem: 5 << 10, swap: 2 << 10}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if p := parseStatus([]byte("NSpid:\t12\nThreads:\t4\n")); p.inner != 0 {
		t.Errorf("bubblewrap itself counts: %+v", p)
	}
}

func TestNewV2(t *testing.T) {
	if os.Geteuid() != 0 {
		return // where a person may make a group depends on where this test runs
	}
	mount := t.TempDir()
	if c := newV2(mount, "r", limitsOf{1, 2, 3}); c.version != 0 {
		t.Errorf("made where nothing is handed down: %+v", c)
	}
	if err := os.WriteFile(filepath.Join(mount, "cgroup.subtree_control"), []byte("cpu memory pids\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newV2(mount, "r", limitsOf{memory: 1 << 20, processes: 10, cpus: 2})
	if c.version != 2 || !c.has("memory") || !c.has("pids") || !c.has("cpu") {
		t.Fatalf("%+v", c)
	}
	got := map[string]string{}
	for _, f := range []string{"memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max"} {
		b, err := os.ReadFile(filepath.Join(c.dirs["memory"], f))
		if err != nil {
			t.Fatal(err)
		}
		got[f] = string(b)
	}
	want := map[string]string{"memory.max": "1048576", "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "13", "cpu.max": "200000 100000"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := os.WriteFile(filepath.Join(c.dirs["memory"], "memory.events"), []byte("max 4\noom 2\noom_kill 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c.killed() != 1 || c.full() != 0 {
		t.Errorf("counters: %d %d", c.killed(), c.full())
	}
}

func TestAtLeast(t *testing.T) {
	for v, want := range map[string]bool{"0.8.0": true, "0.7.9": false, "1.0": true, "0.12.0": true, "": false, "x": false} {
		if got := atLeast(v, 0, 8); got != want {
			t.Errorf("%q: %v", v, got)
		}
	}
}
