// Package config is the configuration file of a datasite, its defaults, and where everything of it lies on this machine.
// It knows names, paths and numbers, opens nothing but the file itself, and imports nothing of this module.
// The commands and the daemon import it.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// File is the name of the configuration in the state folder.
const File = "config.yaml"

// Config is config.yaml. It is read strictly: an unknown key is an error.
type Config struct {
	Email      string `yaml:"email"`
	Mount      string `yaml:"mount"`      // where people see the tree
	Backing    string `yaml:"backing"`    // the plain folder that holds the files
	Durability string `yaml:"durability"` // fsync, or close: every close waits for the disk
	Locks      string `yaml:"locks"`      // of the owner's mount. local: the kernel's, of that mount. shared: with every view and with programs on the backing folder
	Watch      string `yaml:"watch"`      // on, or off: what other programs change in the backing folder is found at the next start
	Drive      Drive  `yaml:"drive"`
	Jobs       Jobs   `yaml:"jobs"`
	Limits     Limits `yaml:"limits"`
}

// Drive says through which Drive the datasite exchanges with peers.
type Drive struct {
	At    string   `yaml:"at"`              // "" none; google; or the address of a server that speaks Drive v3, as http://127.0.0.1:8753
	Poll  Duration `yaml:"poll,omitempty"`  // between two questions for what is new; default 5 s, 1 s of a server that is not Google's
	Sweep Duration `yaml:"sweep,omitempty"` // between two looks at everything; default 15 min

	// Patience is how long a change that does not fit waits for an earlier one that may be late, and what failed here before it is tried
	// again; default 2 min.
	Patience Duration `yaml:"patience,omitempty"`
}

// Every is how often is asked for what is new.
func (d Drive) Every() time.Duration {
	switch {
	case d.Poll != 0:
		return time.Duration(d.Poll)
	case d.At == Google:
		return 5 * time.Second
	}
	return time.Second
}

// Google is the real service, in Drive.At.
const Google = "google"

// Endpoint is the address of the server, "" for Google.
func (d Drive) Endpoint() string {
	if d.At == Google {
		return ""
	}
	return d.At
}

// ParseDrive reads what people type for a Drive: google, local:URL, or none.
func ParseDrive(typed string) (string, error) {
	switch at, local := strings.CutPrefix(typed, "local:"); {
	case typed == "", typed == "none":
		return "", nil
	case typed == Google:
		return Google, nil
	case local:
		return at, checkDrive(at)
	}
	return "", fmt.Errorf("%q: say google, local:http://HOST:PORT (what `syftfs drive serve` prints), or none", typed)
}

func checkDrive(at string) error {
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" && u.Path != "/" || u.User != nil || u.RawQuery != "" {
		return fmt.Errorf("%q is not the address of a Drive server: give http://HOST:PORT", at)
	}
	return nil
}

// Jobs says how submitted folders are treated.
type Jobs struct {
	Settle     Duration `yaml:"settle"`      // a complete job folder is sealed this long after its last write
	BareSettle Duration `yaml:"bare_settle"` // the same for a bare project folder or file
}

// Limits bound one run of a job.
type Limits struct {
	Timeout       Duration `yaml:"timeout"`
	Memory        int64    `yaml:"memory"` // bytes
	Processes     int64    `yaml:"processes"`
	ResultBytes   int64    `yaml:"result_bytes"`
	ResultFiles   int64    `yaml:"result_files"`
	LogBytes      int64    `yaml:"log_bytes"`      // a stream
	RequireCgroup bool     `yaml:"require_cgroup"` // refuse to run where only the fallback would hold the limits
}

// Duration is a time.Duration written as "2s" or "5m".
type Duration time.Duration

// UnmarshalYAML reads "2s" or "5m".
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || v <= 0 {
		return fmt.Errorf("line %d: %q is not a duration such as 2s or 5m", n.Line, n.Value)
	}
	*d = Duration(v)
	return nil
}

// MarshalYAML writes "2s" or "5m0s".
func (d Duration) MarshalYAML() (any, error) { return time.Duration(d).String(), nil }

// Default is a configuration with every default, for an address.
func Default(email, home string) Config {
	return Config{
		Email: email, Mount: filepath.Join(home, "SyftBox"), Backing: filepath.Join(home, "SyftBox_"+email), Durability: "fsync", Locks: "local", Watch: "on",
		Jobs: Jobs{Settle: Duration(2 * time.Second), BareSettle: Duration(5 * time.Second)},
		Limits: Limits{Timeout: Duration(300 * time.Second), Memory: 4 << 30, Processes: 256, ResultBytes: 1 << 30, ResultFiles: 10_000,
			LogBytes: 10 << 20},
	}
}

var validName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}$`)

// CheckName refuses a datasite name that is not 1 to 63 of A-Z a-z 0-9 . _ - or begins with a dot.
func CheckName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("datasite name %q: use 1 to 63 of the characters A-Z a-z 0-9 . _ - and no dot in front", name)
	}
	return nil
}

// Slug is the default name of the datasite of an address.
func Slug(email string) string {
	s := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, strings.ToLower(email))
	s = strings.TrimLeft(s, ".")
	return s[:min(len(s), 63)]
}

// Root is the folder of all states: $XDG_STATE_HOME/syftfs, else ~/.local/state/syftfs.
func Root() (string, error) {
	if s := os.Getenv("XDG_STATE_HOME"); s != "" {
		if !filepath.IsAbs(s) {
			return "", fmt.Errorf("XDG_STATE_HOME is %q: it must be an absolute path", s)
		}
		return filepath.Join(s, "syftfs"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("cannot tell where to keep state: %w (set HOME or XDG_STATE_HOME)", err)
	}
	return filepath.Join(home, ".local", "state", "syftfs"), nil
}

// ErrNone is returned by Find when this user has no datasite yet.
var ErrNone = errors.New("there is no datasite yet: run `syftfs init --email YOU@EXAMPLE.ORG`")

// Names lists the datasites of this user.
func Names() ([]string, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(root)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(root, e.Name(), File)); err == nil && CheckName(e.Name()) == nil {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Find gives the state folder of the datasite called name, or of the only one if name is empty.
func Find(name string) (string, error) {
	names, err := Names()
	if err != nil {
		return "", err
	}
	if name == "" {
		switch len(names) {
		case 0:
			return "", ErrNone
		case 1:
			name = names[0]
		default:
			return "", fmt.Errorf("there are several datasites (%s): say which with --datasite NAME", strings.Join(names, ", "))
		}
	}
	if err := CheckName(name); err != nil {
		return "", err
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, name)
	if _, err := os.Stat(filepath.Join(dir, File)); err != nil {
		if errors.Is(err, iofs.ErrNotExist) {
			return "", fmt.Errorf("there is no datasite %q (there are: %s): %w", name, strings.Join(names, ", "), iofs.ErrNotExist)
		}
		return "", err
	}
	return dir, nil
}

// Load reads and checks the configuration in a state folder. Errors name the file and, where there is one, the line.
func Load(dir string) (Config, error) {
	path := filepath.Join(dir, File)
	b, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	var head struct {
		Email string `yaml:"email"`
	}
	if err := yaml.Unmarshal(b, &head); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return Config{}, err
	}
	c := Default(head.Email, home)
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	if err := c.Check(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Check names the first field that cannot be.
func (c Config) Check() error {
	if c.Email == "" {
		return errors.New("email: missing")
	}
	for _, p := range []struct{ field, path string }{{"mount", c.Mount}, {"backing", c.Backing}} {
		if !filepath.IsAbs(p.path) {
			return fmt.Errorf("%s: %q must be an absolute path", p.field, p.path)
		}
	}
	if Overlap(c.Mount, c.Backing) {
		return fmt.Errorf("mount: %s and backing: %s must not lie inside each other", c.Mount, c.Backing)
	}
	if c.Durability != "fsync" && c.Durability != "close" {
		return fmt.Errorf("durability: %q is neither fsync nor close", c.Durability)
	}
	if c.Drive.At != "" && c.Drive.At != Google {
		if err := checkDrive(c.Drive.At); err != nil {
			return fmt.Errorf("drive.at: %w", err)
		}
	}
	if c.Watch != "on" && c.Watch != "off" {
		return fmt.Errorf("watch: %q is neither on nor off", c.Watch)
	}
	if c.Locks != "local" && c.Locks != "shared" {
		return fmt.Errorf("locks: %q is neither local nor shared", c.Locks)
	}
	for _, n := range []struct {
		field string
		value int64
	}{{"limits.memory", c.Limits.Memory}, {"limits.processes", c.Limits.Processes}, {"limits.result_bytes", c.Limits.ResultBytes},
		{"limits.result_files", c.Limits.ResultFiles}, {"limits.log_bytes", c.Limits.LogBytes}} {
		if n.value <= 0 {
			return fmt.Errorf("%s: must be above 0", n.field)
		}
	}
	return nil
}

// Overlap reports whether one of two absolute paths is the other, or lies in it.
func Overlap(a, b string) bool { return within(a, b) || within(b, a) }

func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// Marshal is the text of the file.
func (c Config) Marshal() ([]byte, error) { return yaml.Marshal(c) }

// Socket is where the local API listens: below XDG_RUNTIME_DIR if there is one, else in the state folder.
func Socket(dir string) string {
	if run := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(run) {
		return filepath.Join(run, "syftfs", filepath.Base(dir), "ctl.sock")
	}
	return filepath.Join(dir, "ctl.sock")
}
