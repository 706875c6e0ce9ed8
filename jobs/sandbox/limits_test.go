package sandbox_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openmined/syftfs/jobs/sandbox"
)

func TestTimeout(t *testing.T) {
	tests := []struct{ name, script, stdout string }{
		{"sleeps", `bash -c 'sleep 1000' $WORD`, ""},
		{"ignores the request to end", `trap '' TERM INT HUP; bash -c 'while :; do sleep 1000; done' $WORD; while :; do :; done`, ""},
		{"ends when asked", `trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done`, "up\nbye\n"},
		{"silent in mid-line", `printf x; sleep 1000`, "x"},
		{"daemon that ignores everything", `setsid bash -c 'trap "" TERM; while :; do sleep 1000; done' $WORD >/dev/null 2>&1 & sleep 1000`, ""},
		{"busy threads", `python -c 'import signal, threading
for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(s, signal.SIG_IGN)
def spin():
    while True: pass
for _ in range(8): threading.Thread(target=spin).start()'`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t, sandbox.Config{}, tt.script)
			b.spec.Limits.Timeout = 700 * time.Millisecond
			b.ends(-1, "timeout")
			if got := b.stdout(); got != tt.stdout {
				t.Errorf("stdout %q, want %q", got, tt.stdout)
			}
		})
	}
}

func TestMainProcessEndsTheRun(t *testing.T) {
	tests := []struct {
		name, script string
		code         int
	}{
		{"a background process holds stdout", `bash -c 'sleep 1000' $WORD & echo done`, 0},
		{"a daemon with everything closed", `(setsid bash -c 'sleep 1000; touch outputs/late' $WORD </dev/null >/dev/null 2>&1 &); echo done; exit 3`, 3},
		{"by a signal", `echo done; kill -9 $$`, 137},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t, sandbox.Config{}, tt.script)
			b.ends(tt.code, "")
			if got := b.stdout(); got != "done\n" {
				t.Errorf("stdout %q", got)
			}
		})
	}
}

func TestProcesses(t *testing.T) {
	tests := []struct{ name, script string }{
		{"fork bomb", `: $WORD; f() { f | f & }; f 2>/dev/null; sleep 1000`},
		{"counted", `python -c '
import os, sys, time
n = 0
try:
    while True:
        if os.fork() == 0:
            os.execvp("sleep", ["sleep", "1000"])
        n += 1
except OSError:
    time.sleep(0.5)
    sys.exit("stopped after %d" % n)'`},
	}
	forEachMeans(t, func(t *testing.T, cfg sandbox.Config) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				b := newBox(t, cfg, tt.script)
				b.spec.Limits.Processes = 40
				b.spec.Limits.Timeout = 1500 * time.Millisecond
				out := b.run()
				if out.Reason != "processes" && out.Reason != "timeout" {
					t.Errorf("code %d, reason %q\n%s", out.Code, out.Reason, b.stderr())
				}
				if out.Code == 0 {
					t.Error("it succeeded")
				}
			})
		}
	})
}

func TestMemory(t *testing.T) {
	const limit = 160 << 20
	tests := []struct {
		name, script, reason string
	}{
		{"one process", `python -c 'x = b"x" * (600 << 20)'`, "memory"},
		{"many processes", `for i in 1 2 3 4 5 6; do python -c 'import time; x = b"x" * (60 << 20); time.sleep(1000)' & done; wait`, "memory"},
		{"shared", `python -c 'import mmap
m = mmap.mmap(-1, 400 << 20)
for i in range(0, len(m), 4096): m[i] = 1'`, "memory"},
		{"in a folder", `head -c 400M /dev/zero > /tmp/big; sleep 1000`, "memory"},
		{"less than the limit, many times mapped", `python -c 'import os, time
x = b"x" * (90 << 20)
for _ in range(5):
    if os.fork() == 0:
        time.sleep(0.3)
        os._exit(0)
for _ in range(5): os.wait()
print(len(x) >> 20)'`, ""},
	}
	forEachMeans(t, func(t *testing.T, cfg sandbox.Config) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				b := newBox(t, cfg, tt.script)
				b.spec.Limits.Memory = limit
				out := b.run()
				if out.Reason != tt.reason {
					t.Errorf("code %d, reason %q, want %q; notes %q\n%s", out.Code, out.Reason, tt.reason, out.Notes, b.stderr())
				}
				if tt.reason != "" && !slices.Contains([]int{-1, 137}, out.Code) {
					t.Errorf("code %d", out.Code)
				}
			})
		}
	})
}

func TestUncountedMemoryIsRefused(t *testing.T) {
	b := newBox(t, sandbox.Config{NoCgroup: true}, `python -c 'import os
try:
    os.memfd_create("x")
    print("made")
except PermissionError:
    print("refused")'`)
	b.ends(0, "")
	if got := b.stdout(); got != "refused\n" {
		t.Errorf("memfd_create: %q", got)
	}
}

func TestEndlessOutput(t *testing.T) {
	b := newBox(t, sandbox.Config{}, `yes out & yes err >&2 & sleep 1000`)
	b.spec.Limits.Timeout = 700 * time.Millisecond
	b.spec.Limits.LogBytes = 100_000
	b.ends(-1, "timeout")
	for name, got := range map[string]string{"out": b.stdout(), "err": b.stderr()} {
		if len(got) < 100_000 || len(got) > 100_100 {
			t.Errorf("%s: %d bytes kept", name, len(got))
		}
		if !strings.HasPrefix(got, name+"\n"+name+"\n") || !strings.Contains(got, "BYTES LEFT OUT ---\n") {
			t.Errorf("%s: %.20q, and no word about what is missing", name, got)
		}
	}
}

func TestOutputThatIsNoText(t *testing.T) {
	b := newBox(t, sandbox.Config{}, `printf '\377\376\000x'`)
	b.ends(0, "")
	if got := b.stdout(); got != "\xff\xfe\x00x" {
		t.Errorf("%q", got)
	}
}

func TestCancel(t *testing.T) {
	b := newBox(t, sandbox.Config{}, `echo up; echo result > outputs/r; bash -c 'trap "" TERM; while :; do sleep 1000; done' $WORD`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for tick := time.NewTicker(5 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			if body, err := os.ReadFile(b.spec.Stdout); err == nil && string(body) == "up\n" {
				cancel()
			}
		}
	}()
	out := b.runIn(ctx)
	if out.Reason != "cancelled" || out.Code != -1 {
		t.Errorf("%+v", out)
	}
	if got := b.results(); len(got) > 0 {
		t.Errorf("collected: %v", got)
	}
}
