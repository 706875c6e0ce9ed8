package integration

import (
	"fmt"
	"testing"
)

// TestRevocation: what was opened, mapped or entered in a view before its rules changed is asked about again.
func TestRevocation(t *testing.T) {
	everyUser(t, func(t *testing.T, h *host) {
		h.init()
		h.lay(h.backing(), map[string]string{"d/f": "hello", "d/g": "gg"})
		h.start()
		h.person(rachel, "rachel")
		a := h.newActor(t)
		for n, r := range revocations() {
			if got := a.row("revoke", n, h.home); got != r.want {
				t.Errorf("%s:\n%s, want\n%s", r.name, got, r.want)
			}
			if got := a.read(h.site("d", "f")); got != "hello" {
				t.Errorf("%s: the file holds %q", r.name, got)
			}
		}
		h.stop()
	})
}

// TestRuleChangeReachesOpenFiles: a rule edited with an editor's save pattern takes effect at once in another mount, with a file open there.
func TestRuleChangeReachesOpenFiles(t *testing.T) {
	allow := "rules:\n- pattern: '**'\n  access: {read: [" + rachel + "]}\n"
	deny := "rules:\n- pattern: '**'\n  access: {read: []}\n"
	saves := map[string]func(own *actor, path, text string){
		"in place": func(own *actor, path, text string) { own.write(path, text) },
		"rename over": func(own *actor, path, text string) { // vim with backupcopy=no, and most others
			own.write(path+".tmp", text)
			own.ok(call{Op: "rename", Path: path + ".tmp", To: path})
		},
		"backup and new": func(own *actor, path, text string) { // the old one is moved away first
			own.ok(call{Op: "rename", Path: path, To: path + "~"})
			own.write(path, text)
		},
	}
	everyUser(t, func(t *testing.T, h *host) {
		h.init()
		h.start()
		h.person(rachel, "rachel")
		own, her := h.newActor(t), h.newActor(t)
		for name, save := range saves {
			t.Run(name, func(t *testing.T) {
				own.t, her.t = t, t
				dir := fmt.Sprintf("d-%d", len(name))
				rules, file := h.site(dir, "syft.pub.yaml"), h.view("rachel", dir, "f.txt")
				own.mkdir(h.site(dir))
				own.write(h.site(dir, "f.txt"), "the first line\n")
				her.want("ENOENT", call{Op: "open", Path: file})
				own.write(rules, allow)
				f := her.ok(call{Op: "open", Path: file}).File
				if got := string(her.ok(call{Op: "read", File: f, N: 100}).Data); got != "the first line\n" {
					t.Fatalf("read %q", got)
				}
				save(own, rules, deny)
				her.want("EACCES", call{Op: "read", File: f, N: 100})
				her.want("ENOENT", call{Op: "open", Path: file})
				her.want("ENOENT", call{Op: "stat", Path: file})
				save(own, rules, allow)
				if got := string(her.ok(call{Op: "read", File: f, N: 100}).Data); got != "the first line\n" {
					t.Fatalf("read %q after the right came back", got)
				}
				if got := her.read(file); got != "the first line\n" {
					t.Fatalf("a new open reads %q", got)
				}
				her.ok(call{Op: "close", File: f})
			})
		}
		h.stop()
	})
}
