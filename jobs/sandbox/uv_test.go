package sandbox_test

import (
	"strings"
	"testing"

	"github.com/openmined/syftfs/jobs/sandbox"
)

// generated is run.sh as the reference writes it.
func generated(lines ...string) string {
	return strings.Join(append([]string{"#!/bin/bash", "set -euo pipefail", "export UV_SYSTEM_PYTHON=false", "cd code", "uv venv --python 3.12",
		"source .venv/bin/activate"}, lines...), "\n") + "\nexport PYTHONPATH=.:${PYTHONPATH:-}\npython main.py\n"
}

func TestUV(t *testing.T) {
	const project = "[project]\nname = \"x\"\nversion = \"1\"\ndependencies = [%s]\n"
	tests := []struct {
		name, run, project string
		code               int
		stdout, stderr     string
	}{
		{name: "what every job asks for", run: generated(`uv pip install "syft-client==0.1.117"`),
			stdout: "open words\n.venv\n", stderr: "syft-client is provided"},
		{name: "from a repository", run: generated(`uv pip install "syft-client @ git+https://example.org/syft-client.git@abc"`), stdout: "open words\n.venv\n"},
		{name: "nothing", run: generated(), stdout: "open words\n.venv\n"},
		{name: "what is here already", run: generated(`uv pip install "pip>=1,!=2.0" "syft-client"`), code: 1, stderr: "pip"},
		{name: "something else", run: generated(`uv pip install "syft-client" "no-such-package==1.0"`), code: 1,
			stderr: "no-such-package==1.0 is not on this machine"},
		{name: "project", run: generated(`uv sync --python 3.12`, `uv pip install "syft-client"`), project: `"syft_client>=0.1"`, stdout: "open words\n.venv\n"},
		{name: "project with more", run: generated(`uv sync --python 3.12`), project: `"no-such-package"`, code: 1, stderr: "no-such-package is not on this machine"},
		{name: "anything else", run: "uv run main.py\n", code: 2, stderr: "not supported"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t, sandbox.Config{}, "")
			b.file("run.sh", tt.run)
			b.file("code/helper.py", "import syft_client as sc\ndef load(): return open(sc.resolve_dataset_file_path('open')).read().strip()\n")
			b.file("code/main.py", "import os, sys, helper\nprint(helper.load())\nprint(os.path.basename(sys.prefix))\n")
			if tt.project != "" {
				b.file("code/pyproject.toml", strings.Replace(project, "%s", tt.project, 1))
			}
			b.dataset("open", "open words")
			if tt.name == "what is here already" && !b.hasPip() {
				tt.code = 1
			} else if tt.name == "what is here already" {
				tt.code, tt.stderr, tt.stdout = 0, "", "open words\n.venv\n"
			}
			b.ends(tt.code, "")
			if got := b.stdout(); got != tt.stdout {
				t.Errorf("stdout %q", got)
			}
			if got := b.stderr(); !strings.Contains(got, tt.stderr) {
				t.Errorf("stderr %q", got)
			}
		})
	}
}

// hasPip says whether this machine's Python has pip, which is what a test can ask for that may be here.
func (b *box) hasPip() bool {
	probe := newBox(b.t, sandbox.Config{}, `python -c 'from importlib.metadata import version; version("pip")'`)
	return probe.run().Code == 0
}
