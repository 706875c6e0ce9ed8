package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What the self-test prints, and how it ends when even its last part, which is to be stopped, was not.
const (
	testPassed   = "self-test passed\n"
	testSurvived = 3
)

// testMain runs inside, in place of a job, and looks whether the walls stand. What it finds wrong goes to its standard
// output, a line each. When nothing is, it takes more memory than it may and waits to be stopped for that.
func testMain(args []string) int {
	var p testPlan
	if len(args) != 1 || json.Unmarshal([]byte(args[0]), &p) != nil {
		fmt.Fprintln(os.Stderr, "this part is started by the sandbox only")
		return 2
	}
	failed := false
	for _, check := range []func(testPlan) error{
		checkDescriptors, checkStatus, checkNetwork, checkFiles, checkIdentity, checkNamespaces, checkProcesses,
	} {
		if err := check(p); err != nil {
			failed = true
			fmt.Println(err)
		}
	}
	if failed {
		return 1
	}
	fmt.Print(testPassed)
	return takeMemory(p.Memory)
}

// checkDescriptors must not use anything that could open one of its own beside the folder.
func checkDescriptors(testPlan) error {
	dir, err := unix.Open("/proc/self/fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("descriptors: %w", err)
	}
	defer unix.Close(dir)
	buf := make([]byte, 8192)
	n, err := unix.Getdents(dir, buf)
	if err != nil {
		return fmt.Errorf("descriptors: %w", err)
	}
	_, _, names := unix.ParseDirent(buf[:n], -1, nil)
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil || fd <= 2 || fd == dir {
			continue
		}
		// What was inherited came through exec, so it cannot be marked to close at exec; what this very program opened is.
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil {
			return fmt.Errorf("descriptors: %w", err)
		}
		if flags&unix.FD_CLOEXEC == 0 {
			return fmt.Errorf("descriptor %d was inherited", fd)
		}
	}
	return nil
}

func checkStatus(testPlan) error {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	want := map[string]string{"NoNewPrivs": "1", "Seccomp": "2"}
	for _, c := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		want[c] = "0000000000000000"
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		if w, ok := want[key]; ok {
			if v := strings.TrimSpace(value); v != w {
				return fmt.Errorf("%s is %s, not %s", key, v, w)
			}
			delete(want, key)
		}
	}
	if len(want) > 0 {
		return fmt.Errorf("this kernel does not say all of NoNewPrivs, Seccomp and the capability sets")
	}
	return nil
}

func checkNetwork(testPlan) error {
	b, err := os.ReadFile("/proc/net/dev")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		name, _, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); ok && name != "lo" {
			return fmt.Errorf("network interface %s is there", name)
		}
	}
	// An address that is never in use; without a route the call fails before anything is sent.
	if c, err := net.Dial("udp", "192.0.2.1:9"); err == nil {
		c.Close()
		return errors.New("there is a route to other machines")
	}
	return nil
}

func checkFiles(p testPlan) error {
	if _, err := os.ReadFile(p.Canary); !errors.Is(err, iofs.ErrNotExist) && !errors.Is(err, iofs.ErrPermission) {
		return fmt.Errorf("a file outside can be read (%v)", err)
	}
	if _, err := os.Stat(p.Canary); err == nil {
		return errors.New("a file outside can be seen")
	}
	for _, d := range p.ReadOnly {
		name := filepath.Join(d, ".sandbox-probe")
		if err := os.WriteFile(name, nil, 0o600); err == nil {
			return fmt.Errorf("%s can be written", d)
		}
	}
	f, err := os.OpenFile("/proc/sys/kernel/core_pattern", os.O_WRONLY, 0)
	if err == nil {
		f.Close()
		return errors.New("/proc/sys can be written")
	}
	return nil
}

// checkIdentity looks from inside; who the job is outside, the shim sees.
func checkIdentity(testPlan) error {
	if os.Getuid() != 1000 || os.Getgid() != 1000 {
		return fmt.Errorf("the job is user %d, group %d", os.Getuid(), os.Getgid())
	}
	return nil
}

func checkNamespaces(testPlan) error {
	if err := unix.Unshare(unix.CLONE_NEWUSER); err == nil {
		return errors.New("a user namespace can be made")
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_PTRACE, unix.PTRACE_TRACEME, 0, 0); errno != unix.EPERM {
		return fmt.Errorf("the list of refused calls does not hold (%v)", errno)
	}
	return nil
}

// checkProcesses makes processes until it is told to stop. Each does nothing but wait; it never returns to Go's runtime,
// which is not whole in it.
func checkProcesses(p testPlan) error {
	var pids []int
	defer func() {
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL) // ours, and still there
		}
		for _, pid := range pids {
			_, _ = unix.Wait4(pid, nil, 0, nil)
		}
	}()
	for range 2 * p.Processes {
		pid, errno := fork()
		if errno == unix.EAGAIN {
			return nil
		}
		if errno != 0 {
			return fmt.Errorf("make a process: %w", errno)
		}
		pids = append(pids, pid)
	}
	return fmt.Errorf("%d processes could be made where %d are allowed", len(pids), p.Processes)
}

//go:noinline
//go:norace
func fork() (int, unix.Errno) {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		for {
			unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
		}
	}
	return int(pid), errno
}

// takeMemory touches more than limit and waits; whoever holds the limit ends it here.
func takeMemory(limit int64) int {
	b, err := unix.Mmap(-1, 0, int(limit+limit/2), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		fmt.Println("take memory:", err)
		return testSurvived
	}
	for i := 0; i < len(b); i += os.Getpagesize() {
		b[i] = 1
	}
	const patience = 5000 // ms; a stopped process does not notice
	_, _ = unix.Poll(nil, patience)
	return testSurvived
}
