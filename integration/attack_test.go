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
