package integration

import (
	"bufio"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDownWhileInUse: whoever stops the datasite is told at once which program it waits for, and the wait ends with that program's use.
func TestDownWhileInUse(t *testing.T) {
	everyUser(t, func(t *testing.T, h *host) {
		h.init()
		h.start()
		a := h.newActor(t)
		a.write(h.site("note"), "hello")
		f := a.ok(call{Op: "open", Path: h.site("note"), Flags: unix.O_RDONLY}).File

		down := h.command(h.program, "down")
		said, err := down.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := down.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(said).ReadString('\n')
		if err != nil || !strings.Contains(line, "still used by actor (pid ") {
			t.Errorf("down said %q, %v", line, err)
		}
		a.ok(call{Op: "close", File: f})
		if err := down.Wait(); err != nil {
			t.Errorf("down: %v", err)
		}
		h.died()
		if left := h.mounts(); len(left) > 0 {
			t.Errorf("left mounted: %q", left)
		}
	})
}

// TestDisabledWhileFilesAreOpen: an account that is disabled loses what it has open, drafts too, and has it again when it is enabled.
func TestDisabledWhileFilesAreOpen(t *testing.T) {
	everyUser(t, func(t *testing.T, h *host) {
		l := newLab(t, h)
		l.her.mkdir(l.view("rachel", "jobs", ".draft"))
		flags := unix.O_CREAT | unix.O_RDWR
		draft := l.her.ok(call{Op: "open", Path: l.view("rachel", "jobs", ".draft", "main.py"), Flags: flags, Mode: 0o644}).File
		mock := l.her.ok(call{Op: "open", Path: l.view("rachel", "public", "syft_datasets", "words", "mock.csv"), Flags: unix.O_RDONLY}).File
		write := call{Op: "write", File: draft, Data: []byte("print(1)\n")}
		l.her.ok(write)
		h.ok("users", "disable", rachel)
		l.her.want("EACCES", write)
		l.her.want("EACCES", call{Op: "read", File: draft, N: 4})
		l.her.want("EACCES", call{Op: "read", File: mock, N: 4})
		h.ok("users", "enable", rachel)
		l.her.ok(write)
		l.her.ok(call{Op: "read", File: mock, N: 4})
		l.her.ok(call{Op: "close", File: draft})
		l.her.ok(call{Op: "close", File: mock})
		h.stop()
	})
}
