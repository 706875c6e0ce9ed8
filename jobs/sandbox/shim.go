package sandbox

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Descriptors of the shim: 1 and 2 are the job's streams, then
const (
	fdControl = 3 // the plan, then commands; its end means that the daemon is gone
	fdReport  = 4
	fdCgroup  = 5 // and following
)

// shim is the process between the daemon and bubblewrap. It is process 1 of a process namespace of its own: when it
// dies, so does everything below it, and when it has no child left, nothing is left.
type shim struct {
	plan    plan
	tree    tree
	control *bufio.Reader
	report  *json.Encoder
	dest    *os.Root // where results go, opened before the machine's files are left
	tasks   []*os.File
	group   *os.File
}

// shimMain is the whole life of the shim. An error is one of the channel to the daemon; everything else is reported through it.
func shimMain() error {
	if os.Getpid() != 1 {
		return errors.New("this part is started by the sandbox only")
	}
	s := &shim{control: bufio.NewReader(os.NewFile(fdControl, "control"))}
	out := os.NewFile(fdReport, "report")
	s.report = json.NewEncoder(out)
	for _, fd := range []int{fdControl, fdReport} {
		unix.CloseOnExec(fd)
	}
	line, err := s.control.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	if err := json.Unmarshal(line, &s.plan); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	if err := s.prepare(); err != nil {
		var ds *datasetError
		return s.report.Encode(report{Setup: err.Error(), Dataset: errors.As(err, &ds)})
	}
	res, err := s.supervise()
	if err != nil {
		return s.report.Encode(report{Setup: err.Error()})
	}
	return s.report.Encode(report{Result: res})
}

// prepare builds the private tree and enters it.
func (s *shim) prepare() error {
	next := fdCgroup
	take := func(name string) *os.File {
		unix.CloseOnExec(next)
		f := os.NewFile(uintptr(next), name)
		next++
		return f
	}
	for range s.plan.CgroupTasks {
		s.tasks = append(s.tasks, take("tasks"))
	}
	if s.plan.CgroupDir {
		s.group = take("cgroup")
	}
	unix.Umask(0o022)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	// This namespace's own processes, for the id-mapped mount and for whoever looks up itself.
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := limitPIDs(s.plan.Limits.Processes); err != nil {
		return err
	}
	var err error
	if s.dest, err = os.OpenRoot(s.plan.Results); err != nil {
		return err
	}
	s.tree = tree{plan: s.plan}
	if err := s.tree.system(); err != nil {
		return err
	}
	if err := s.tree.datasets(); err != nil {
		return err
	}
	return s.tree.attach()
}

// limitPIDs bounds the numbers of this process namespace where it has a bound of its own: a second wall behind the limit
// of processes. Before Linux 6.14 the file is the whole machine's, and is left alone.
func limitPIDs(processes int64) error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	if !atLeast(unix.ByteSliceToString(u.Release[:]), 6, 14) {
		return nil
	}
	// The kernel keeps the first 300 numbers for the first round, and ours need some too.
	const kept, ours = 300, 64
	if err := os.WriteFile("/proc/sys/kernel/pid_max", []byte(strconv.FormatInt(kept+ours+processes, 10)), 0); err != nil {
		return fmt.Errorf("bound the process numbers: %w", err)
	}
	return nil
}

// status is what bubblewrap says on --json-status-fd, a document each.
type status struct {
	ChildPid int  `json:"child-pid"`
	ExitCode *int `json:"exit-code"`
}

// job is a started bubblewrap.
type job struct {
	waited chan error  // bubblewrap itself ended
	status chan status // closed at the end of the stream
	failed chan string // from /.init; empty when the job was started
}

// start runs bubblewrap from a thread of its own that lives as long as it does: its parent-death signal follows the thread.
func (s *shim) start() (*job, error) {
	p := s.plan
	ip := initPlan{Processes: p.Limits.Processes, CountAll: !p.ByMemory, Failed: 5, Command: []string{"/bin/bash", "run.sh"}}
	if p.Landlock {
		ip.Rules = s.tree.rules()
	}
	if p.ByProcesses {
		ip.Processes += 8 // the cgroup is to be hit first: it counts how often, and so the reason is known
	}
	if !p.ByCPU {
		ip.Pin = p.CPUs
	}
	if p.Test != nil {
		b, err := json.Marshal(p.Test)
		if err != nil {
			return nil, err
		}
		ip.Command = []string{insideInit, argTest, string(b)}
	}
	b, err := json.Marshal(ip)
	if err != nil {
		return nil, err
	}
	args, err := sealedArgs(s.tree.bwrapArgs())
	if err != nil {
		return nil, err
	}
	defer args.Close()
	statusR, statusW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	failedR, failedW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(treeBwrap, "--args", "3", "--", insideInit, argInit, string(b))
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"}
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{args, statusW, failedW}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if p.Root {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(p.UID), Gid: uint32(p.GID)}
	}
	if s.group != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(s.group.Fd())
	}
	j := &job{waited: make(chan error, 1), status: make(chan status, 4), failed: make(chan string, 1)}
	started := make(chan error, 1)
	ownThread(func() {
		err := s.startHere(cmd)
		started <- err
		if err == nil {
			j.waited <- cmd.Wait()
		}
	})
	err = <-started
	statusW.Close()
	failedW.Close()
	if err != nil {
		statusR.Close()
		failedR.Close()
		return nil, err
	}
	go func() {
		defer close(j.status)
		for dec := json.NewDecoder(statusR); ; {
			var st status
			if dec.Decode(&st) != nil { // its end; nothing of what bubblewrap says is needed beyond it
				return
			}
			j.status <- st
		}
	}()
	go func() {
		b := make([]byte, 4096)
		n, _ := failedR.Read(b) // the end, without a word, when all went well
		j.failed <- string(b[:max(n, 0)])
	}()
	return j, nil
}

// ownThread runs f on a thread that ends with it. It is never the first thread of this process: where that one is, the
// whole process counts as being, and a memory cgroup that holds the shim may kill the shim.
func ownThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return // locked, so the thread goes too
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // another one, since the first is taken
			f()
		}()
		<-done
		runtime.UnlockOSThread()
	}()
}

// startHere starts cmd from this thread, in the job's cgroups and without the rights that the shim has.
func (s *shim) startHere(cmd *exec.Cmd) error {
	for _, t := range s.tasks {
		if _, err := t.WriteString("0"); err != nil { // this thread; what it starts inherits it
			return fmt.Errorf("enter the cgroup: %w", err)
		}
	}
	if !s.plan.Root {
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
			return fmt.Errorf("give up capabilities: %w", err)
		}
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&hdr, &caps[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	caps[0].Inheritable, caps[1].Inheritable = 0, 0
	if err := unix.Capset(&hdr, &caps[0]); err != nil {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start bubblewrap: %w", err)
	}
	return nil
}

// sealedArgs is a file in memory with every argument and a zero byte behind each.
func sealedArgs(args []string) (*os.File, error) {
	fd, err := unix.MemfdCreate("args", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "args")
	_, err = f.WriteString(strings.Join(args, "\x00") + "\x00")
	if err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
