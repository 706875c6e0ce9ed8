package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroups are the groups of one run, as far as they could be made; the zero value holds nothing.
type cgroups struct {
	version int               // 1 or 2, 0 for none
	dirs    map[string]string // by controller; with version 2 all the same
}

// Bubblewrap's two processes, and the thread of the shim that starts it, count too.
const ownProcesses = 3

// newCgroups makes groups named run, which begins with our process number and a dash, below a folder of ours for memory, pids and cpu. A controller that is not there, or
// where we may not make one, is left out: the caller asks by has and uses the fallback.
func newCgroups(run string, l limitsOf) cgroups {
	mounts, err := cgroupMounts()
	if err != nil {
		return cgroups{}
	}
	if c := newV2(mounts["2"], run, l); c.version != 0 {
		return c
	}
	c := cgroups{version: 1, dirs: map[string]string{}}
	for name, files := range v1Files(l) {
		mount := mounts[name]
		if mount == "" {
			continue
		}
		dir := filepath.Join(mount, "syftfs", run)
		if err := makeGroup(dir, files); err == nil {
			c.dirs[name] = dir
		}
	}
	if len(c.dirs) == 0 {
		return cgroups{}
	}
	return c
}

// limitsOf is what a cgroup can hold of a run.
type limitsOf struct {
	memory, processes int64
	cpus              int
}

// setting is one file of a group; optional ones may be missing.
type setting struct {
	file, value string
	optional    bool
}

func v1Files(l limitsOf) map[string][]setting {
	memory := strconv.FormatInt(l.memory, 10)
	return map[string][]setting{
		"memory": {{"memory.limit_in_bytes", memory, false}, {"memory.memsw.limit_in_bytes", memory, true}, {"memory.swappiness", "0", true}},
		"pids":   {{"pids.max", strconv.FormatInt(l.processes+ownProcesses, 10), false}},
		"cpu":    {{"cpu.cfs_period_us", "100000", false}, {"cpu.cfs_quota_us", strconv.Itoa(l.cpus * 100_000), false}},
	}
}

func v2Files(l limitsOf) []setting {
	return []setting{
		{"memory.max", strconv.FormatInt(l.memory, 10), false}, {"memory.swap.max", "0", true}, {"memory.oom.group", "1", true},
		{"pids.max", strconv.FormatInt(l.processes+ownProcesses, 10), false}, {"cpu.max", fmt.Sprintf("%d 100000", l.cpus*100_000), true},
	}
}

// newV2 makes a group in the unified tree: as root below its top, else in the nearest folder above our own group that is
// ours and hands memory and pids down.
func newV2(mount, run string, l limitsOf) cgroups {
	if mount == "" {
		return cgroups{}
	}
	for _, parent := range v2Parents(mount) {
		if !delegates(parent) {
			continue
		}
		dir := filepath.Join(parent, "syftfs-"+run)
		if makeGroup(dir, v2Files(l)) != nil {
			continue
		}
		c := cgroups{version: 2, dirs: map[string]string{"memory": dir, "pids": dir}}
		if _, err := os.Stat(filepath.Join(dir, "cpu.max")); err == nil {
			c.dirs["cpu"] = dir
		}
		return c
	}
	return cgroups{}
}

func v2Parents(mount string) []string {
	if os.Geteuid() == 0 {
		return []string{mount}
	}
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	var own string
	for line := range strings.Lines(string(b)) {
		if p, ok := strings.CutPrefix(line, "0::"); ok {
			own = strings.TrimSpace(p)
		}
	}
	var out []string
	for p := own; len(p) > 1; p = filepath.Dir(p) {
		out = append(out, filepath.Join(mount, p))
	}
	return out
}

func delegates(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
	f := strings.Fields(string(b))
	return err == nil && slices.Contains(f, "memory") && slices.Contains(f, "pids")
}

// makeGroup makes a group and its settings; on an error nothing is left.
func makeGroup(dir string, files []setting) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, s := range files {
		err := os.WriteFile(filepath.Join(dir, s.file), []byte(s.value), 0)
		if err != nil && !s.optional {
			return errors.Join(err, os.Remove(dir))
		}
	}
	return nil
}

// cgroupMounts says where each v1 controller and, under "2", the unified tree are mounted.
func cgroupMounts() (map[string]string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		sep := slices.Index(f, "-")
		if sep < 5 || sep+3 >= len(f) {
			continue
		}
		switch at := f[4]; f[sep+1] {
		case "cgroup2":
			out["2"] = at
		case "cgroup":
			for opt := range strings.SplitSeq(f[sep+3], ",") {
				switch opt {
				case "memory", "pids", "cpu":
					out[opt] = at
				}
			}
		}
	}
	return out, nil
}

func (c cgroups) has(controller string) bool { return c.dirs[controller] != "" }

// name is how notes call the means.
func (c cgroups) name() string { return "cgroup v" + strconv.Itoa(c.version) }

// files are what the shim needs to put the job into the groups: the "tasks" of v1, the folder of v2.
func (c cgroups) files() (tasks []*os.File, dir *os.File, err error) {
	if c.version == 2 {
		dir, err = os.Open(c.dirs["memory"])
		return nil, dir, err
	}
	for _, d := range c.dirs {
		f, err := os.OpenFile(filepath.Join(d, "tasks"), os.O_WRONLY, 0)
		if err != nil {
			return tasks, nil, err
		}
		tasks = append(tasks, f)
	}
	return tasks, nil, nil
}

// killed counts the processes that the kernel killed for want of memory; full those that were not made.
func (c cgroups) killed() int64 {
	if c.version == 2 {
		return c.counter("memory", "memory.events", "oom_kill")
	}
	return c.counter("memory", "memory.oom_control", "oom_kill")
}

func (c cgroups) full() int64 { return c.counter("pids", "pids.events", "max") }

func (c cgroups) counter(controller, file, key string) int64 {
	if !c.has(controller) {
		return 0
	}
	b, err := os.ReadFile(filepath.Join(c.dirs[controller], file))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		if f := bytes.Fields(line); len(f) == 2 && string(f[0]) == key {
			n, err := strconv.ParseInt(string(f[1]), 10, 64)
			if err == nil {
				return n
			}
		}
	}
	return 0
}

// remove takes the groups away. They are empty by then; one that is not stays, for sweepCgroups.
func (c cgroups) remove() error {
	var errs error
	for _, d := range c.dirs {
		if err := unix.Rmdir(d); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = errors.Join(errs, &os.PathError{Op: "rmdir", Path: d, Err: err})
		}
	}
	return errs
}

// sweepCgroups removes the groups that a killed daemon left.
func sweepCgroups() {
	mounts, err := cgroupMounts()
	if err != nil {
		return
	}
	for _, name := range []string{"memory", "pids", "cpu"} {
		if mounts[name] != "" {
			removeLeft(filepath.Join(mounts[name], "syftfs"), "")
		}
	}
	if mounts["2"] != "" {
		for _, p := range v2Parents(mounts["2"]) {
			removeLeft(p, "syftfs-")
		}
	}
}

func removeLeft(dir, prefix string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), prefix)
		pid, _, ok2 := strings.Cut(name, "-")
		if !ok || !ok2 || !e.IsDir() {
			continue
		}
		// The group of a process that is there may be empty because its job is about to begin.
		if _, err := os.Stat(filepath.Join("/proc", pid)); !errors.Is(err, iofs.ErrNotExist) {
			continue
		}
		_ = unix.Rmdir(filepath.Join(dir, e.Name())) // EBUSY: its last process is going
	}
}
