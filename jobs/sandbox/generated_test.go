package sandbox_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/openmined/syftfs/jobs/sandbox"
)

// What the peers' client writes when it submits a folder, a single file, a folder with a pyproject.toml and a bash script: the texts of run.sh
// as they are, run with the files that they come with.
const (
	runFolder = `#!/bin/bash
set -euo pipefail
export UV_SYSTEM_PYTHON=false
cd code
uv venv --python 3.12
source .venv/bin/activate
uv pip install "syft-client==0.1.117"
export PYTHONPATH=.:${PYTHONPATH:-}
python main.py
`
	runProject = `#!/bin/bash
set -euo pipefail
export UV_SYSTEM_PYTHON=false
cd code
uv venv --python 3.12
source .venv/bin/activate
uv sync --python 3.12
uv pip install "syft-client==0.1.117"
export PYTHONPATH=.:${PYTHONPATH:-}
python scripts/fit.py
`
	runBash = "#!/bin/bash\necho done > code/outputs/x.txt\necho working\necho careful >&2\n"
	mean    = "import json\nimport os\n\nfrom lib.stats import mean\n\nos.makedirs('outputs', exist_ok=True)\n" +
		"with open('outputs/result.json', 'w') as f:\n    json.dump({'mean': mean([1, 2, 3])}, f)\n"
	stats   = "def mean(xs):\n    return sum(xs) / len(xs)\n"
	private = "import syft_client as sc\n\nwith open(sc.resolve_dataset_file_path(\"open\")) as f, open(\"outputs/copy.txt\", \"w\") as out:\n    out.write(f.read())\n" +
		"print(sc.resolve_path(\"syft://do@lab.example/private/syft_datasets/open/data.csv\") == sc.resolve_dataset_files_path(\"open\")[0])\n"
)

func TestGeneratedJobs(t *testing.T) {
	folder := map[string]string{"main.py": mean, "lib/__init__.py": "", "lib/stats.py": stats, "données/notes.txt": "Résultats attendus : 2\n"}
	result := map[string]string{"result.json": `{"mean": 2.0}`}
	project := func(deps string) map[string]string {
		return map[string]string{"scripts/fit.py": "print('fits')\n",
			"pyproject.toml": "[project]\nname = \"fit\"\nversion = \"0.1\"\nrequires-python = \">=3.10\"\ndependencies = [" + deps + "]\n"}
	}
	tests := []struct {
		name    string
		run     string
		code    map[string]string
		exit    int
		stdout  string
		stderr  string
		results map[string]string
	}{
		{"a folder", runFolder, folder, 0, "", "syft-client is provided", result},
		{"a folder with a dependency that is not here", strings.Replace(runFolder, "0.1.117\"", "0.1.117\" \"no-such-package==2.2.3\"", 1), folder, 1, "", "no-such-package==2.2.3 is not on this machine", nil},
		{"a file that reads a dataset", runFolder, map[string]string{"main.py": private}, 0, "True\n", "using", map[string]string{"copy.txt": "open words\n"}},
		{"a project", runProject, project(""), 0, "fits\n", "", nil},
		{"a project that asks for syft-client", runProject, project(`"syft-client>=0.1.100", "tomli>=1; python_version < '3.0'", "colorama; sys_platform == 'win32'"`), 0, "fits\n", "", nil},
		{"a project with a dependency that is not here", runProject, project(`"no-such-package>=2; python_version >= '3.0'"`), 1, "", "no-such-package>=2 is not on this machine", nil},
		{"a bash job", runBash, map[string]string{"script.sh": runBash}, 0, "working\n", "careful\n", map[string]string{"x.txt": "done\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t, sandbox.Config{}, "")
			b.spec.ID.Name = "Mean Analysis"
			b.file("run.sh", tt.run)
			for name, body := range tt.code {
				b.file("code/"+name, body)
			}
			b.dataset("open", "open words")
			b.ends(tt.exit, "")
			if got := b.stdout(); got != tt.stdout {
				t.Errorf("stdout %q, want %q", got, tt.stdout)
			}
			if got := b.stderr(); !strings.Contains(got, tt.stderr) {
				t.Errorf("stderr %q has no %q", got, tt.stderr)
			}
			got := map[string]string{}
			for name, what := range b.results() {
				_, got[name], _ = strings.Cut(what, " ")
			}
			if !maps.Equal(got, tt.results) && len(got)+len(tt.results) > 0 {
				t.Errorf("results %v, want %v", slices.Sorted(maps.Keys(got)), tt.results)
			}
		})
	}
}

// The first dependency is where the submitter's own client came from.
func TestInstallSources(t *testing.T) {
	var run strings.Builder
	run.WriteString("cd code\nuv venv --python 3.12\nsource .venv/bin/activate\n")
	for _, source := range []string{
		"syft-client", "syft-client==0.1.117", "syft_client[dev]>=0.1,<1", "git+https://git.example/OpenMined/syft-client.git@ecea9fa",
		"syft-client @ git+https://git.example/OpenMined/syft-client.git@ecea9fa", "/home/rachel/src/syft-client", "file:///home/rachel/src/syft-client",
		"https://files.example/syft_client-0.1.117-py3-none-any.whl", "https://git.example/OpenMined/syft-client/archive/main.zip",
	} {
		run.WriteString("uv pip install \"" + source + "\" || echo \"not taken: " + source + "\"\n")
	}
	for _, other := range []string{
		"https://files.example/other-1.0.tar.gz", "https://syft-client.example/other-1.0.tar.gz", "/home/rachel/other", "syft-client-extras", "other @ file:///x/other",
		"syft-client/../other", "syft-client:other",
	} {
		run.WriteString("if uv pip install \"" + other + "\"; then echo \"taken: " + other + "\"; fi\n")
	}
	run.WriteString("python -c 'import syft_client; print(syft_client.__version__)'\n")
	b := newBox(t, sandbox.Config{}, "")
	b.file("run.sh", run.String())
	b.ends(0, "")
	if got := b.stdout(); got != "0.1.117\n" {
		t.Errorf("%s\n%s", got, b.stderr())
	}
}
