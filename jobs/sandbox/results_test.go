package sandbox_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openmined/syftfs/jobs/sandbox"
)

func TestResults(t *testing.T) {
	b := newBox(t, sandbox.Config{}, `set -e
echo one > code/outputs/a.txt
mkdir -p outputs/sub/deep
echo two > outputs/sub/deep/b.csv
chmod 000 outputs/sub/deep/b.csv
chmod 0500 outputs/sub/deep
cp /bin/true outputs/suid; printf '#!' > outputs/suid; chmod 6755 outputs/suid
ln outputs/a.txt outputs/same
ln -s /syftbox/do@lab.example/private/syft_datasets/open/data.csv outputs/link
ln -s / outputs/dirlink
ln -s nowhere outputs/sub/dangling
mkfifo outputs/fifo
python -c 'import socket; socket.socket(socket.AF_UNIX).bind("outputs/sock")'
echo x > outputs/syft.pub.yaml; echo x > outputs/sub/SYFT.Pub.yaml; echo x > outputs/.hidden
mkdir -p outputs/.git outputs/__pycache__; echo x > outputs/.git/x
echo x > $'outputs/new\nline'; echo x > $'outputs/\377'
exit 5`)
	b.dataset("open", "secret words")
	out := b.ends(5, "")
	want := map[string]string{
		"a.txt": "0644 one\n", "same": "0644 one\n", "suid": "0755 #!", "sub/": "0755", "sub/deep/": "0755", "sub/deep/b.csv": "0644 two\n",
	}
	if diff := cmp.Diff(want, b.results()); diff != "" {
		t.Error(diff)
	}
	dropped := []string{
		`".git": name begins with a dot`, `".hidden": name begins with a dot`, `"__pycache__": name is never sent`, `"dirlink": symbolic link`,
		`"fifo": FIFO`, `"link": symbolic link`, `"new\nline": control character in the name`, `"sock": socket`,
		`"sub/SYFT.Pub.yaml": rule file`, `"sub/dangling": symbolic link`, `"syft.pub.yaml": rule file`, `"\xff": name is not UTF-8`,
	}
	got := slices.Clone(out.Dropped)
	slices.Sort(got)
	slices.Sort(dropped)
	if diff := cmp.Diff(dropped, got); diff != "" {
		t.Error(diff)
	}
	for _, d := range out.Dropped {
		if !strings.Contains(b.stderr(), "--- NOT COLLECTED: "+d+" ---\n") {
			t.Errorf("stderr does not say: %s", d)
		}
	}
}

func TestResultsAreKeptAtTheLimitOfTime(t *testing.T) {
	b := newBox(t, sandbox.Config{}, `echo part > outputs/part; sleep 1000`)
	b.spec.Limits.Timeout = 500_000_000
	b.ends(-1, "timeout")
	if diff := cmp.Diff(map[string]string{"part": "0644 part\n"}, b.results()); diff != "" {
		t.Error(diff)
	}
}

func TestQuota(t *testing.T) {
	tests := []struct{ name, script string }{
		{"one big file", `head -c 3M /dev/zero > outputs/big`},
		{"sparse file", `truncate -s 1G outputs/sparse`},
		{"many small ones", `for i in $(seq 300); do echo > outputs/$i 2>/dev/null; done`},
		{"many names of one file", `head -c 300K /dev/zero > outputs/a; for i in 1 2 3 4 5 6; do ln outputs/a outputs/$i; done`},
		{"full to the last byte", `cat /dev/zero > outputs/a 2>/dev/null; cat /dev/zero > outputs/b 2>/dev/null; true`},
		{"deep", `cd outputs; for i in $(seq 40); do mkdir d; cd d; done`},
		{"folders", `for i in $(seq 300); do mkdir outputs/$i 2>/dev/null; done; true`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t, sandbox.Config{}, "echo kept > outputs/0\n"+tt.script)
			b.spec.Limits.ResultBytes = 1 << 20
			b.spec.Limits.ResultFiles = 100
			out := b.run()
			if out.Reason != "output_quota" || out.Code == 0 {
				t.Errorf("code %d, reason %q; notes %q\n%s", out.Code, out.Reason, out.Notes, b.stderr())
			}
			if got := b.results(); len(got) > 0 {
				t.Errorf("published: %v", got)
			}
			if !strings.Contains(b.stderr(), "--- NOT COLLECTED: everything: ") {
				t.Errorf("stderr does not say why: %q", b.stderr())
			}
		})
	}
}

func TestWorkIsACopy(t *testing.T) {
	b := newBox(t, sandbox.Config{}, `echo '# changed' >> run.sh; rm code/main.py; touch new; ls outputs code/outputs; cat code/lib/x.txt`)
	b.file("code/main.py", "print()\n")
	b.file("code/lib/x.txt", "lib\n")
	b.file("code/outputs/old", "left over\n")
	before := read(t, filepath.Join(b.spec.Work, "run.sh"))
	b.ends(0, "")
	if got := b.stdout(); got != "code/outputs:\n\noutputs:\nlib\n" {
		t.Errorf("%q", got)
	}
	if _, err := os.Stat(filepath.Join(b.spec.Work, "code/main.py")); err != nil || read(t, filepath.Join(b.spec.Work, "run.sh")) != before {
		t.Error("the submission was changed", err)
	}
}
