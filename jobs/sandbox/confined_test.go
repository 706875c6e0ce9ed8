package sandbox_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openmined/syftfs/jobs/sandbox"
)

func TestConfined(t *testing.T) {
	t.Run("as this kernel can", func(t *testing.T) { confined(t, sandbox.Config{}) })
	t.Run("without Landlock and cgroups", func(t *testing.T) { confined(t, sandbox.Config{NoLandlock: true, NoCgroup: true}) })
}

func confined(t *testing.T, cfg sandbox.Config) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	abstract, err := net.Listen("unix", fmt.Sprintf("@sandbox-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("canary\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b := newBox(t, cfg, fmt.Sprintf(`
probe() { name=$1; shift; if "$@" >/dev/null 2>&1 </dev/null; then echo "$name: yes"; else echo "$name: no"; fi; }
probe "file outside" cat %[1]q
probe "file outside by process 1" cat /proc/1/root%[1]q
probe "accounts" test -e /etc/shadow
probe "homes" test -e /root
probe "other processes" test "$(ls -d /proc/[0-9]* | wc -l)" -gt 8
probe "write below usr" touch /usr/x
probe "write the root" touch /x
probe "write env" touch /env/x
probe "write the kernel's settings" sh -c 'echo x > /proc/sys/kernel/core_pattern'
probe "sysfs" test -e /sys/kernel
probe "mount" mount -t tmpfs none /tmp
probe "user namespace" unshare -Ur true
probe "make a device" mknod /tmp/n c 1 3
probe "network" python3 -c 'import socket; socket.create_connection(("127.0.0.1", %[2]d), 2)'
probe "abstract socket" python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect("\0%[3]s")'
probe "netlink" python3 -c 'import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)'
probe "input" read x
probe "work" touch /tmp/x "$HOME/x" /dev/shm/x x code/x outputs/x
probe "python" python -c 'import ssl, sqlite3, multiprocessing as m; m.Pool(2).map(len, ["a", "b"])'
ls -d /home/* ; ls /syftbox/
`, outside, listener.Addr().(*net.TCPAddr).Port, strings.TrimPrefix(abstract.Addr().String(), "@")))
	b.ends(0, "")
	want := `file outside: no
file outside by process 1: no
accounts: no
homes: no
other processes: no
write below usr: no
write the root: no
write env: no
write the kernel's settings: no
sysfs: no
mount: no
user namespace: no
make a device: no
network: no
abstract socket: no
netlink: no
input: no
work: yes
python: yes
/home/job
do@lab.example
`
	if diff := cmp.Diff(want, b.stdout()); diff != "" {
		t.Error(diff)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("CANARY_TOKEN", "secret")
	b := newBox(t, sandbox.Config{}, `tr '\0' '\n' < /proc/$$/environ; pwd; id -u; ulimit -n -c; ls /proc/self/fd | tr '\n' ' '`)
	b.ends(0, "")
	want := `PATH=/env/bin:/usr/local/bin:/usr/bin:/bin
HOME=/home/job
TMPDIR=/tmp
LANG=C.UTF-8
TZ=UTC
SYFTBOX_FOLDER=/syftbox
SYFTBOX_EMAIL=do@lab.example
SYFT_IS_IN_JOB=true
PYTHONUNBUFFERED=1
UV_OFFLINE=1
PIP_NO_INDEX=1
PYTHONPATH=/env/compat
PWD=` + inside + `
` + inside + `
1000
open files                          (-n) 1024
core file size              (blocks, -c) 0
0 1 2 3 `
	if diff := cmp.Diff(want, b.stdout()); diff != "" {
		t.Error(diff)
	}
}

func TestDatasets(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, private string)
		root   bool
	}{
		{name: "closed to all but the owner", change: func(*testing.T, string) {}},
		{name: "open to all", change: func(t *testing.T, p string) { chmod(t, p, 0o755); chmod(t, p+"/data.csv", 0o644) }},
		{name: "files of several owners", root: true, change: func(t *testing.T, p string) {
			if err := os.Chown(p+"/data.csv", 4711, 4711); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		if tt.root && os.Geteuid() != 0 {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t, sandbox.Config{}, `cat > /tmp/j.py <<'X'
import os, syft_client as sc
for name in ("open", "secret"):
    try:
        print(name, [p.name for p in sc.resolve_dataset_files_path(name)], open(sc.resolve_dataset_file_path(name)).read().strip())
    except Exception as e:
        print(name, type(e).__name__)
p = sc.resolve_path("syft://do@lab.example/private/syft_datasets/open/data.csv")
for what in (lambda: open(p, "a"), lambda: os.chmod(p, 0o777), lambda: os.remove(p), lambda: open(p.parent / "new", "w")):
    try:
        what()
        print("changed")
    except OSError:
        print("refused")
print(os.listdir("/syftbox/do@lab.example/private/syft_datasets"), sc.load_dataset_code("open.pkg.mod").answer)
X
python /tmp/j.py`)
			granted := b.dataset("open", "granted words")
			if err := os.MkdirAll(granted.Private+"/pkg", 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(granted.Private+"/pkg/mod.py", []byte("answer = 42\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			tt.change(t, granted.Private)
			b.dataset("secret", "other words")
			b.spec.Datasets = b.spec.Datasets[:1]
			b.ends(0, "")
			want := "open ['data.csv'] granted words\nsecret FileNotFoundError\nrefused\nrefused\nrefused\nrefused\n['open'] 42\n"
			if diff := cmp.Diff(want, b.stdout()); diff != "" {
				t.Error(diff, b.stderr())
			}
		})
	}
}

func TestDatasetUnavailable(t *testing.T) {
	tests := []struct {
		name string
		make func(t *testing.T, private string)
	}{
		{"gone", func(*testing.T, string) {}},
		{"a link", func(t *testing.T, p string) {
			if err := os.Symlink("/etc", p); err != nil {
				t.Fatal(err)
			}
		}},
		{"a file", func(t *testing.T, p string) {
			if err := os.WriteFile(p, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t, sandbox.Config{}, "echo ran")
			d := b.dataset("open", "words")
			if err := os.RemoveAll(d.Private); err != nil {
				t.Fatal(err)
			}
			tt.make(t, d.Private)
			out := b.ends(-1, "dataset_unavailable")
			if got := b.stdout(); got != "" {
				t.Errorf("it ran: %q", got)
			}
			if len(out.Notes) != 1 || !strings.HasPrefix(out.Notes[0], "dataset open: ") {
				t.Errorf("notes do not say why: %q", out.Notes)
			}
		})
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
