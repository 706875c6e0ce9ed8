package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// watch stands in for a memory cgroup: it adds up what the job's processes and its folders in memory hold.
type watch struct {
	plan  plan
	every time.Duration
	least time.Duration // never more often than this
	full  bool          // the limit of processes was seen reached
	floor int64
}

// How often to look: often where memory has to be held, which two processors can fill by some 100 MiB meanwhile; else
// only for the number of processes.
const (
	watchMemory = 20 * time.Millisecond
	watchCount  = 100 * time.Millisecond
)

func newWatch(p plan) *watch {
	w := &watch{plan: p, least: watchMemory}
	if p.ByMemory {
		w.least = watchCount
	}
	w.every = w.least
	if m, ok := meminfo(); ok {
		w.floor = max(m.total/50, 64<<20)
	}
	return w
}

// look takes one sample. It answers with a sentence when the job has to end because of memory.
func (w *watch) look() string {
	began := time.Now()
	w.every = w.least
	// Never more than a fifth of a processor, however many processes there are.
	defer func() { w.every = max(w.least, w.every, 4*time.Since(began)) }()
	procs := processes()
	var threads, used int64
	for _, p := range procs {
		threads += p.threads
		used += p.anon + p.shmem + p.swap
	}
	if threads >= w.plan.Limits.Processes-3 { // bubblewrap's own may count too
		w.full = true
	}
	if w.plan.ByMemory {
		return ""
	}
	folders := inFolders()
	if used+folders > w.plan.Limits.Memory {
		// Processes that were forked share pages, which are counted once for each above.
		began := time.Now()
		exact, ok := shared(procs)
		w.every = max(w.every, 9*time.Since(began))
		if !ok {
			exact = used
		}
		if exact+folders > w.plan.Limits.Memory {
			return fmt.Sprintf("memory: %d MiB in use, %d MiB allowed", (exact+folders)>>20, w.plan.Limits.Memory>>20)
		}
	}
	if m, ok := meminfo(); ok && m.available < w.floor {
		return fmt.Sprintf("memory: this machine has only %d MiB left", m.available>>20)
	}
	return ""
}

// process is what /proc says of one process of the job; sizes in bytes.
type process struct {
	pid, inner        int // inner: in the job's own namespace
	threads           int64
	anon, shmem, swap int64
}

// processes lists the job's processes without bubblewrap's own. Whoever ends meanwhile is left out.
func processes() []process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var out []process
	for _, n := range names {
		pid, err := strconv.Atoi(n)
		if err != nil || pid == 1 {
			continue
		}
		b, err := os.ReadFile("/proc/" + n + "/status")
		if err != nil {
			continue
		}
		if p := parseStatus(b); p.inner > 1 {
			p.pid = pid
			out = append(out, p)
		}
	}
	return out
}

func parseStatus(b []byte) (p process) {
	for line := range bytes.Lines(b) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		f := bytes.Fields(value)
		if len(f) == 0 {
			continue
		}
		n, err := strconv.ParseInt(string(f[0]), 10, 64)
		switch string(key) {
		case "NSpid":
			if len(f) > 1 {
				p.inner, err = strconv.Atoi(string(f[len(f)-1]))
			}
		case "Threads":
			p.threads = n
		case "RssAnon":
			p.anon = n << 10
		case "RssShmem":
			p.shmem = n << 10
		case "VmSwap":
			p.swap = n << 10
		}
		if err != nil {
			continue
		}
	}
	return p
}

// shared adds up what procs hold, each page divided among those that share it.
func shared(procs []process) (sum int64, ok bool) {
	for _, p := range procs {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/smaps_rollup")
		if err != nil {
			continue // ended meanwhile
		}
		for line := range bytes.Lines(b) {
			key, value, _ := bytes.Cut(line, []byte(":"))
			switch string(key) {
			case "Pss_Anon", "Pss_Shmem", "SwapPss":
				if f := bytes.Fields(value); len(f) > 0 {
					n, err := strconv.ParseInt(string(f[0]), 10, 64)
					if err == nil {
						sum, ok = sum+n<<10, true
					}
				}
			}
		}
	}
	return sum, ok
}

// inFolders is what lies in the job's folders in memory.
func inFolders() (sum int64) {
	for _, p := range []string{treeWork, treeResults, treeTmp, treeShm, treeHome} {
		var st unix.Statfs_t
		if unix.Statfs(p, &st) == nil {
			sum += int64(st.Blocks-st.Bfree) * st.Bsize
		}
	}
	return sum
}

type memory struct{ total, available int64 }

func meminfo() (m memory, ok bool) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return m, false
	}
	for line := range bytes.Lines(b) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		f := bytes.Fields(value)
		if len(f) == 0 {
			continue
		}
		n, err := strconv.ParseInt(string(f[0]), 10, 64)
		if err != nil {
			continue
		}
		switch string(key) {
		case "MemTotal":
			m.total = n << 10
		case "MemAvailable":
			m.available, ok = n<<10, true
		}
	}
	return m, ok
}

// terminate asks every process of the job to end.
func terminate() {
	for _, p := range processes() {
		_ = unix.Kill(p.pid, unix.SIGTERM) // gone already: all the better
	}
}
