package fusetree

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	device := filepath.Join(dir, "fuse")
	write(t, device, "")
	there := func() (string, error) { return "/bin/fusermount3", nil }
	missing := func() (string, error) {
		return "", &Lack{What: "no fusermount3", Remedy: "install the package fuse3", Err: exec.ErrNotFound}
	}
	tests := []struct {
		name       string
		device     string
		privileged bool
		root       bool
		helper     func() (string, error)
		remedy     string // "" if it can mount
	}{
		{"root", device, true, true, missing, ""},
		{"ordinary account", device, false, false, there, ""},
		{"no helper", device, false, false, missing, "fuse3"},
		{"root without the privilege", device, false, true, there, "SYS_ADMIN"},
		{"no device", filepath.Join(dir, "none"), true, true, there, "modprobe fuse"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := check(tt.device, tt.privileged, tt.root, tt.helper)
			var l *Lack
			switch {
			case tt.remedy == "" && err != nil:
				t.Errorf("got %v", err)
			case tt.remedy != "" && (!errors.As(err, &l) || !strings.Contains(l.Remedy, tt.remedy) || l.Unwrap() == nil):
				t.Errorf("got %v, want the remedy %q", err, tt.remedy)
			}
		})
	}
	if err := Check(); err != nil {
		t.Errorf("here: %v", err)
	}
}

func TestParseMounts(t *testing.T) {
	text := "36 35 98:0 / /mnt\\040with\\134odd rw,noatime shared:1 master:2 - ext3 /dev/root rw\n" +
		"37 35 0:52 / /home/o/SyftBox rw - fuse.syftfs syftfs rw,user_id=0\n" +
		"broken line\n" +
		"38 35 0:x / /y rw - tmpfs tmpfs rw\n"
	got := parseMounts(text)
	want := []mounted{{`/mnt with\odd`, "ext3", 0}, {"/home/o/SyftBox", fsType, 52}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if m, ok, err := onTop("/proc"); !ok || err != nil || m.typ != "proc" {
		t.Errorf("/proc: %v, %v, %v", m, ok, err)
	}
	if _, ok, err := onTop(os.TempDir() + "/no such mount"); ok || err != nil {
		t.Errorf("nothing: %v, %v", ok, err)
	}
}
