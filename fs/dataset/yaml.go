package dataset

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"gopkg.in/yaml.v3"
)

// writer makes the files key by key, in the order and the bytes of the peers' client.
type writer struct{ b strings.Builder }

func (w *writer) text(key, value string) {
	w.b.WriteString(key + ": " + quoted(value, len(key)+2) + "\n")
}

// optional writes null for "".
func (w *writer) optional(key, value string) {
	if value == "" {
		w.b.WriteString(key + ": null\n")
		return
	}
	w.text(key, value)
}

func (w *writer) list(key string, values []string) {
	if len(values) == 0 {
		w.b.WriteString(key + ": []\n")
		return
	}
	w.b.WriteString(key + ":\n")
	for _, v := range values {
		w.b.WriteString("- " + quoted(v, 2) + "\n")
	}
}

// description is dataset.yaml.
func (d *Dataset) description() []byte {
	var w writer
	w.text("uid", d.UID)
	w.text("created_at", instant(d.Created))
	w.text("updated_at", instant(d.Updated))
	w.text("name", d.Name)
	w.optional("summary", d.Summary)
	w.list("tags", d.Tags)
	w.optional("location", d.Location)
	w.text("mock_url", URL(d.Mock))
	w.text("private_url", URL(d.Private))
	readme := ""
	if d.Readme != (datasite.Path{}) {
		readme = URL(d.Readme)
	}
	w.optional("readme_url", readme)
	urls := make([]string, len(d.Files))
	for i, f := range d.Files {
		urls[i] = URL(d.Mock.Join(f))
	}
	w.list("mock_files_urls", urls)
	return []byte(w.b.String())
}

// privateDescription is private_metadata.yaml.
func (d *Dataset) privateDescription(dataDir string) []byte {
	var w writer
	w.text("uid", d.UID)
	w.text("data_dir", dataDir)
	return []byte(w.b.String())
}

// rules is the syft.pub.yaml that lets readers, and nobody else, read everything beside and below it.
func rules(readers []perm.User) []byte {
	var w writer
	w.b.WriteString("rules:\n- access:\n    admin: []\n")
	if len(readers) == 0 {
		w.b.WriteString("    read: []\n")
	} else {
		w.b.WriteString("    read:\n")
		for _, u := range readers {
			w.b.WriteString("    - " + quoted(string(u), 6) + "\n")
		}
	}
	w.b.WriteString("    write: []\n  pattern: '**'\nterminal: false\n")
	return []byte(w.b.String())
}

const instantForm = "2006-01-02T15:04:05"

// instant has six digits of the second, or none when they are zero.
func instant(t time.Time) string {
	t = t.UTC()
	if t.Nanosecond()/1000 == 0 {
		return t.Format(instantForm) + "Z"
	}
	return t.Format(instantForm + ".000000Z")
}

func parseInstant(s string) (time.Time, error) {
	for _, form := range []string{time.RFC3339Nano, instantForm + ".999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02"} {
		if t, err := time.Parse(form, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("time %q is not understood", s)
}

// fields is dataset.yaml as it is read: every scalar as its text.
type fields struct {
	UID      text   `yaml:"uid"`
	Created  text   `yaml:"created_at"`
	Updated  text   `yaml:"updated_at"`
	Name     text   `yaml:"name"`
	Summary  text   `yaml:"summary"`
	Tags     []text `yaml:"tags"`
	Location text   `yaml:"location"`
	Mock     text   `yaml:"mock_url"`
	Readme   text   `yaml:"readme_url"`
	Files    []text `yaml:"mock_files_urls"`
}

// text takes any scalar: dates and numbers may stand without quotes.
type text string

func (t *text) UnmarshalYAML(n *yaml.Node) error {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: a text is expected", n.Line)
	}
	if *t = text(n.Value); n.Tag == "!!null" {
		*t = ""
	}
	return nil
}

// parse fills in what dataset.yaml says. Where d lies is not believed from the file.
func (d *Dataset) parse(src []byte) error {
	var f fields
	if err := yaml.Unmarshal(src, &f); err != nil {
		return err
	}
	if f.Name == "" {
		return errors.New("it has no name")
	}
	d.UID, d.Summary, d.Location = string(f.UID), string(f.Summary), string(f.Location)
	for _, t := range f.Tags {
		d.Tags = append(d.Tags, string(t))
	}
	for _, at := range []struct {
		from text
		to   *time.Time
	}{{f.Created, &d.Created}, {f.Updated, &d.Updated}} {
		if at.from == "" {
			continue
		}
		t, err := parseInstant(string(at.from))
		if err != nil {
			return err
		}
		*at.to = t
	}
	if string(f.Name) != d.Name {
		d.Notes = append(d.Notes, fmt.Sprintf("dataset.yaml calls it %q; the name of the folder counts.", f.Name))
	}
	for _, u := range f.Files {
		if rel, ok := d.below(string(u)); ok {
			d.Files = append(d.Files, rel)
		} else {
			d.Notes = append(d.Notes, fmt.Sprintf("dataset.yaml lists %q, which is not in its folder.", u))
		}
	}
	if f.Readme != "" {
		if rel, ok := d.below(string(f.Readme)); ok {
			d.Readme = d.Mock.Join(rel)
		} else {
			d.Notes = append(d.Notes, fmt.Sprintf("dataset.yaml names the readme %q, which is not in its folder.", f.Readme))
		}
	}
	return nil
}

// below gives the path below the mock folder that an address names.
func (d *Dataset) below(addr string) (rel string, ok bool) {
	p, err := ParseURL(addr)
	if err != nil || !p.Under(d.Mock) || p == d.Mock {
		return "", false
	}
	return p.Rel[len(d.Mock.Rel)+1:], true
}
