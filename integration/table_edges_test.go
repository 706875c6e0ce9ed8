package integration

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestOtherDatasites: nothing moves between datasites, nor into or out of jobs/; what was delivered can be read by the owner only.
func TestOtherDatasites(t *testing.T) {
	const peer = "petra@other.example"
	everyUser(t, func(t *testing.T, h *host) {
		h.init()
		h.lay(h.path("SyftBox_"+owen, peer), map[string]string{"public/data.csv": "delivered"})
		h.lay(h.backing(), map[string]string{"f": "mine", "d/f": "mine", "syft.pub.yaml": "rules: [{pattern: '**', access: {write: ['" + rachel + "']}}]\n"})
		h.start()
		h.person(rachel, "rachel")
		own, her := h.newActor(t), h.newActor(t)
		replica := func(parts ...string) string { return h.path(append([]string{"SyftBox", peer, "public"}, parts...)...) }

		if got := own.read(replica("data.csv")); got != "delivered" {
			t.Errorf("what was delivered reads %q", got)
		}
		if r := own.ok(call{Op: "stat", Path: replica("data.csv")}); r.Mode&0o777 != 0o444 {
			t.Errorf("what was delivered has mode %o", r.Mode)
		}
		own.want("EACCES", call{Op: "open", Path: replica("data.csv"), Flags: unix.O_WRONLY})
		own.want("EACCES", call{Op: "open", Path: replica("new"), Flags: unix.O_WRONLY | unix.O_CREAT})
		own.want("EACCES", call{Op: "mkdir", Path: replica("new")})
		own.want("EACCES", call{Op: "unlink", Path: replica("data.csv")})
		own.want("EACCES", call{Op: "rename", Path: replica("data.csv"), To: replica("new")})
		own.want("EACCES", call{Op: "truncate", Path: replica("data.csv")})
		own.want("EACCES", call{Op: "symlink", Path: replica("new"), To: "data.csv"})
		own.want("EPERM", call{Op: "link", Path: replica("data.csv"), To: h.site("new")})
		own.want("EXDEV", call{Op: "rename", Path: replica("data.csv"), To: h.site("new")})
		own.want("EXDEV", call{Op: "rename", Path: h.site("f"), To: replica("new")})
		own.want("EXDEV", call{Op: "rename", Path: h.site("d"), To: replica("new")})
		own.want("EXDEV", call{Op: "rename", Path: h.site("f"), To: h.site("jobs", "new")})
		own.want("EXDEV", call{Op: "rename", Path: h.site("d"), To: h.site("jobs", "new")})
		own.want("EACCES", call{Op: "mkdir", Path: h.path("SyftBox", "new@other.example")})

		her.want("ENOENT", call{Op: "stat", Path: h.path("rachel", peer)})
		her.want("ENOENT", call{Op: "rename", Path: h.view("rachel", "f"), To: h.path("rachel", peer, "public", "new")})
		her.want("EXDEV", call{Op: "rename", Path: h.view("rachel", "d"), To: h.view("rachel", "jobs", "new")})
		her.mkdir(h.view("rachel", "jobs", ".draft")) // held by its name, so that it stays
		her.want("EXDEV", call{Op: "rename", Path: h.view("rachel", "jobs", ".draft"), To: h.view("rachel", "d", "new")})
		if got := her.ok(call{Op: "readdir", Path: h.path("rachel")}).Names; len(got) == 0 || got[len(got)-1] != owen {
			t.Errorf("a view holds %q", got)
		}
		if got := own.read(h.site("f")) + own.read(h.site("d", "f")) + own.read(replica("data.csv")); got != "minemine"+"delivered" {
			t.Errorf("afterwards there is %q", got)
		}
		h.stop()
	})
}
