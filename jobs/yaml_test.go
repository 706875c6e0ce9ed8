package jobs

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// testdata/pyyaml.json holds documents and what PyYAML 6.0.3 makes of them (yaml.safe_dump with its defaults).
func TestYAMLWriterWritesPythonsBytes(t *testing.T) {
	src, err := os.ReadFile("testdata/pyyaml.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Doc  json.RawMessage
		Text string
	}
	if err := json.Unmarshal(src, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		d := json.NewDecoder(bytes.NewReader(c.Doc))
		d.UseNumber()
		var doc map[string]any
		if err := d.Decode(&doc); err != nil {
			t.Fatal(err)
		}
		got, err := yamlMap(numbers(doc).(map[string]any))
		if err != nil {
			t.Errorf("%s: %v", c.Doc, err)
			continue
		}
		if string(got) != c.Text {
			t.Errorf("document %s\n got %q\nwant %q", c.Doc, got, c.Text)
		}
	}
}

// numbers turns json.Number into what the writer takes.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}

// Whatever text is written is read back as this text, by our reader.
func TestYAMLWrittenTextReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("ab '\":#-\n\té\\ 1~")))).Draw(t, "text")
		if strings.ContainsAny(want, "\ufffe\uffff") {
			return
		}
		src, err := yamlMap(map[string]any{"k": want, "list": []string{want}})
		if err != nil {
			t.Fatal(err)
		}
		y, err := parseYAML("x.yaml", src)
		if err != nil {
			t.Fatalf("%v\n%q", err, src)
		}
		if got := y.text("k", true); got != want || y.err != nil {
			t.Fatalf("got %q, want %q (%v) from %q", got, want, y.err, src)
		}
		if got := y.list("list"); !slices.Equal(got, []string{want}) {
			t.Fatalf("got %q, want %q from %q", got, want, src)
		}
	})
}

func TestYAMLWriterRefuses(t *testing.T) {
	for name, doc := range map[string]map[string]any{
		"empty key": {"": 1}, "key with a line break": {"a\nb": 1}, "long key": {strings.Repeat("k", 200): 1}, "a channel": {"a": make(chan int)},
	} {
		if got, err := yamlMap(doc); err == nil {
			t.Errorf("%s: written as %q", name, got)
		}
	}
}

func TestWireConfigs(t *testing.T) {
	for _, c := range []struct {
		file string
		want Config
	}{
		{"python-config.yaml", Config{
			Name: "Mean Analysis", Type: "python", SubmittedAt: time.Date(2026, 1, 1, 0, 0, 42, 999999000, time.UTC), Entrypoint: "main.py",
			Dependencies: []string{"syft-client==0.1.117", "pandas==2.2.3"}, Files: []string{"données/notes.txt", "lib/__init__.py", "lib/stats.py", "main.py"},
			IsFolderSubmission: true, JobType: "local", Headers: map[string]any{},
		}},
		{"bash-config.yaml", Config{
			Name: "shell_job", Type: "bash", SubmittedAt: time.Date(2026, 1, 1, 0, 1, 3, 62500000, time.UTC), Dependencies: []string{},
			Files: []string{"script.sh"}, JobType: "local", Headers: map[string]any{},
		}},
	} {
		t.Run(c.file, func(t *testing.T) {
			src := wire(t, c.file)
			got, err := ParseConfig(src)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			again, err := got.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			// The one thing that we never tell: where the scientist keeps the project.
			want := strings.Replace(string(src), "code_path: /home/rachel/analysis\n", "code_path: null\n", 1)
			if diff := cmp.Diff(want, string(again)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWireStates(t *testing.T) {
	zero := 0
	received := time.Date(2026, 1, 1, 0, 3, 31, 250000000, time.UTC)
	for _, c := range []struct {
		file string
		want State
	}{
		{"pending-state.yaml", State{Status: Pending, ReceivedAt: time.Date(2026, 1, 1, 0, 3, 30, 500000000, time.UTC)}},
		{"approved-state.yaml", State{Status: Approved, ReceivedAt: received, ApprovedBy: "owen@cancer-research.example",
			ApprovedAt: time.Date(2026, 1, 1, 0, 3, 40, 0, time.UTC), ApprovalMethod: "manual", ReviewReason: "looks fine"}},
		{"rejected-state.yaml", State{Status: Rejected, ReceivedAt: time.Date(2026, 1, 1, 0, 3, 30, 500000000, time.UTC), RejectedBy: "owen@cancer-research.example",
			RejectedAt: time.Date(2026, 1, 1, 0, 3, 41, 500000000, time.UTC), ReviewReason: "not needed – see notes"}},
		{"done-state.yaml", State{Status: Done, ReceivedAt: received, ApprovedBy: "owen@cancer-research.example",
			ApprovedAt: time.Date(2026, 1, 1, 0, 3, 40, 0, time.UTC), ApprovalMethod: "manual", ReviewReason: "looks fine",
			CompletedAt: time.Date(2026, 1, 1, 0, 3, 50, 765432000, time.UTC), ReturnCode: &zero}},
	} {
		t.Run(c.file, func(t *testing.T) {
			src := wire(t, c.file)
			got, err := ParseState(src)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(string(src), string(got.Marshal())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWireRunScript(t *testing.T) {
	want := string(wire(t, "python-run.sh"))
	if got := RunScript("main.py", []string{"syft-client==0.1.117", "pandas==2.2.3"}, false); got != want {
		t.Error(cmp.Diff(want, got))
	}
	got := RunScript("src/run.py", []string{"syft-client"}, true)
	if want := "source .venv/bin/activate\nuv sync --python 3.12\nuv pip install \"syft-client\"\n"; !strings.Contains(got, want) {
		t.Errorf("no %q in %q", want, got)
	}
}

func wire(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/wire/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const goodConfig = `dependencies: []
entrypoint: main.py
files:
- main.py
name: job
submitted_at: '2026-06-11T09:30:00.123456Z'
type: python
`

// badConfigs are those of the acceptance list (A07, A08) and more, with the field or word that the refusal must name.
func badConfigs() map[string]struct{ src, names string } {
	with := func(old, new string) string { return strings.Replace(goodConfig, old, new, 1) }
	bomb := "name: job\nsubmitted_at: 1\nheaders:\n  a0: &a0 [x]\n"
	for i := 1; i < 9; i++ {
		prev := string(rune('0' + i - 1))
		bomb += "  a" + string(rune('0'+i)) + ": &a" + string(rune('0'+i)) + " [" + strings.Repeat("*a"+prev+", ", 9) + "]\n"
	}
	utf16 := "\xff\xfe"
	for _, c := range goodConfig {
		utf16 += string([]byte{byte(c), 0})
	}
	return map[string]struct{ src, names string }{
		"a list":                 {"- name\n- job\n", "map"},
		"empty":                  {"", "empty"},
		"a comment only":         {"# nothing\n", ""},
		"name is a number":       {with("name: job", "name: 123"), "name"},
		"name is a yes":          {with("name: job", "name: yes"), "name"},
		"name is a date":         {with("name: job", "name: 2026-01-01"), "name"},
		"no submitted_at":        {with("submitted_at: '2026-06-11T09:30:00.123456Z'\n", ""), "submitted_at"},
		"submitted_at is a word": {with("'2026-06-11T09:30:00.123456Z'", "soon"), "submitted_at"},
		"files is a text":        {with("files:\n- main.py\n", "files: main.py\n"), "files"},
		"files climb":            {with("- main.py", "- ../../private/x"), "files"},
		"files are absolute":     {with("- main.py", "- /etc/passwd"), "files"},
		"files with control":     {with("- main.py", `- "a\nb"`), "files"},
		"files has a number":     {with("- main.py", "- 7"), "files"},
		"dependencies is a map":  {with("dependencies: []", "dependencies: {a: b}"), "dependencies"},
		"dependencies is null":   {with("dependencies: []", "dependencies: null"), "dependencies"},
		"type ruby":              {with("type: python", "type: ruby"), "type"},
		"datasets is a list":     {goodConfig + "datasets: [a]\n", "datasets"},
		"datasets of a text":     {goodConfig + "datasets: {a@x.org: b}\n", "datasets"},
		"headers is a list":      {goodConfig + "headers: [a]\n", "headers"},
		"folder flag is a text":  {goodConfig + "is_folder_submission: 'true'\n", "is_folder_submission"},
		"70 KB":                  {goodConfig + "headers: {a: " + strings.Repeat("x", 70<<10) + "}\n", "bytes"},
		"duplicate key":          {goodConfig + "name: other\n", "name"},
		"duplicate key, escaped": {goodConfig + "\"n\\x61me\": other\n", "name"},
		"duplicate inner key":    {goodConfig + "headers: {a: 1, a: 2}\n", "a"},
		"tab indentation":        {"headers:\n\ta: b\n" + goodConfig, "YAML"},
		"UTF-16":                 {utf16, "UTF-8"},
		"NUL":                    {goodConfig + "\x00", "UTF-8"},
		"a python object":        {goodConfig + "headers: {a: !!python/object/apply:os.system [id]}\n", "tag"},
		"a tagged name":          {with("name: job", "name: !job job"), "tag"},
		"binary":                 {with("name: job", "name: !!binary am9i"), "tag"},
		"a number made a text":   {with("name: job", "name: !!int job"), "name"},
		"alias bomb":             {bomb, "headers"},
		"alias to itself":        {goodConfig + "headers: &a {b: *a}\n", ""},
		"alias as a value":       {with("name: job", "name: &n job") + "headers: {a: *n}\n", "name"},
		"alias as a key":         {goodConfig + "headers: {? &a b : 1, ? *a : 2}\n", "headers"},
		"merge key":              {goodConfig + "headers: {<<: {a: 1}}\n", "headers"},
		"key that is a list":     {goodConfig + "? [a]\n: 1\n", "key"},
		"key that is a number":   {goodConfig + "headers: {1: a}\n", "headers"},
		"40,000 brackets":        {goodConfig + "headers: " + strings.Repeat("[", 40000) + "\n", "deep"},
		"40,000 closed brackets": {goodConfig + "headers: {a: " + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "}\n", "deep"},
		"dashes":                 {goodConfig + "headers:\n  a:\n  " + strings.Repeat("- ", 20000) + "x\n", "deep"},
		"two documents":          {goodConfig + "---\n" + goodConfig, "document"},
		"a text behind the end":  {goodConfig + "...\n[\n", ""},
	}
}

func TestParseConfigRefuses(t *testing.T) {
	if _, err := ParseConfig([]byte(goodConfig)); err != nil {
		t.Fatal(err)
	}
	for name, c := range badConfigs() {
		t.Run(name, func(t *testing.T) {
			got, err := ParseConfig([]byte(c.src))
			var f *FormatError
			if !errors.As(err, &f) {
				t.Fatalf("read as %+v, error %v", got, err)
			}
			if !strings.Contains(err.Error(), c.names) || !strings.HasPrefix(err.Error(), ConfigFile) {
				t.Errorf("%q does not name %q", err, c.names)
			}
		})
	}
}

func TestParseConfigNamesTheLine(t *testing.T) {
	_, err := ParseConfig([]byte(strings.Replace(goodConfig, "type: python", "type: ruby", 1)))
	var f *FormatError
	if !errors.As(err, &f) || f.Field != "type" || f.Line != 7 {
		t.Errorf("got %#v", err)
	}
}

func TestParseConfigAccepts(t *testing.T) {
	at := time.Date(2026, 6, 11, 9, 30, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		submitted string
		want      time.Time
	}{
		"a YAML time":        {"2026-06-11T09:30:00Z", at},
		"a time with blanks": {"2026-06-11 09:30:00.5 +02:00", at.Add(-2*time.Hour + 500*time.Millisecond)},
		"a date":             {"2026-06-11", at.Add(-9*time.Hour - 30*time.Minute)},
		"a quoted date":      {"'2026-06-11'", at.Add(-9*time.Hour - 30*time.Minute)},
		"seconds":            {"1781170200", at},
		"seconds, fraction":  {"1781170200.25", at.Add(250 * time.Millisecond)},
		"milliseconds":       {"1781170200000", at},
		"no zone":            {"'2026-06-11T09:30:00'", at},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseConfig([]byte("name: x\nunknown: [1, 2]\nsubmitted_at: " + c.submitted + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			if !got.SubmittedAt.Equal(c.want) || got.Type != "python" || got.JobType != "local" {
				t.Errorf("got %v (%s, %s), want %v", got.SubmittedAt, got.Type, got.JobType, c.want)
			}
		})
	}
}

func TestConfigRoundTrip(t *testing.T) {
	text := rapid.StringMatching(`[a-zA-Zé0-9 .:'#_-]{1,100}`)
	path := rapid.StringMatching(`[a-zé]{1,8}(/[a-z0-9 ]{1,9}x){0,3}\.py`)
	rapid.Check(t, func(t *rapid.T) {
		want := Config{
			Name: text.Draw(t, "name"), Type: rapid.SampledFrom([]string{"python", "bash"}).Draw(t, "type"),
			SubmittedAt: time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "at")).UTC(), Entrypoint: rapid.OneOf(rapid.Just(""), path).Draw(t, "entry"),
			Dependencies: rapid.SliceOf(text).Draw(t, "deps"), Files: rapid.SliceOf(path).Draw(t, "files"),
			IsFolderSubmission: rapid.Bool().Draw(t, "folder"), JobType: "local",
			Datasets: map[string][]string{"owen@x.org": rapid.SliceOf(text).Draw(t, "datasets")},
			Headers:  map[string]any{"n": rapid.Int64().Draw(t, "n"), "s": text.Draw(t, "s"), "l": []any{nil, true, 0.5}},
		}
		src, err := want.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseConfig(src)
		if err != nil {
			t.Fatalf("%v\n%s", err, src)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s\n%s", diff, src)
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(goodConfig))
	for _, k := range slices.Sorted(maps.Keys(badConfigs())) {
		if src := badConfigs()[k].src; len(src) < 4096 {
			f.Add([]byte(src))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := ParseConfig(src)
		if err != nil {
			return
		}
		again, err := c.Marshal()
		if err != nil {
			return // a key of headers that cannot be written
		}
		if len(again) > MaxConfigBytes {
			return
		}
		c2, err := ParseConfig(again)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%q\nfrom %q", err, again, src)
		}
		if third, err := c2.Marshal(); err != nil || !bytes.Equal(again, third) {
			t.Fatalf("written twice differently (%v):\n%q\n%q", err, again, third)
		}
	})
}

func FuzzParseState(f *testing.F) {
	f.Add([]byte("status: pending\n"))
	f.Add([]byte("status: done\nreturn_code: -1\ncompleted_at: 2026-01-01\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := ParseState(src)
		if err != nil {
			return
		}
		again := s.Marshal()
		s2, err := ParseState(again)
		if len(again) <= MaxConfigBytes && (err != nil || !bytes.Equal(s2.Marshal(), again)) {
			t.Fatalf("%v\n%q\nfrom %q", err, again, src)
		}
	})
}
