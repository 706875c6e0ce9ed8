package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// patience is how long the story waits for one thing to come true.
const patience = 60 * time.Second

// person acts by child processes, with a home folder of their own.
type person struct {
	s     *story
	name  string
	email string
	home  string
	mount string
}

func (s *story) person(name, email string) *person {
	home := filepath.Join(s.dir, name)
	return &person{s: s, name: name, email: email, home: home, mount: filepath.Join(home, "SyftBox")}
}

// settings are the variables that make this person's datasite another one than the user's own.
func (p *person) settings() []string {
	return []string{"HOME=" + p.home, "XDG_STATE_HOME=" + filepath.Join(p.home, ".state"), "XDG_RUNTIME_DIR=" + filepath.Join(p.home, ".run")}
}

// environ is the environment of this person's processes: messages in English, and nothing that leads to the user's own datasite.
func (p *person) environ() []string {
	return append(os.Environ(), append(p.settings(), "LC_ALL=C", "PYTHONDONTWRITEBYTECODE=1")...)
}

func (p *person) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = p.home
	cmd.Env = p.environ()
	return cmd
}

// width is how long a line of the story may be, margin what stands before an answer.
const (
	width  = 130
	margin = "                  "
)

// short writes paths as this person would, and those of the other one by name.
func (p *person) short(line string) string {
	line = strings.ReplaceAll(line, p.home+"/", "~/")
	return strings.ReplaceAll(line, p.s.dir+"/", "/home/")
}

// fold breaks a long line between words, and cuts a word that is longer than a line.
func fold(line string) []string {
	var parts []string
	for len(line) > width {
		at := strings.LastIndexByte(line[:width], ' ')
		if strings.TrimSpace(line[:max(at, 0)]) == "" {
			return append(parts, strings.ToValidUTF8(line[:width], "")+" ...")
		}
		parts = append(parts, line[:at])
		line = "    " + line[at+1:]
	}
	return append(parts, line)
}

// say prints what a person types, with paths shortened to what they would type.
func (p *person) say(line string) {
	line = strings.ReplaceAll(p.short(line), "\n", "\n"+margin)
	fmt.Fprintf(p.s.o.Out, "%6.1fs  %-6s $ %s\n", time.Since(p.s.began).Seconds(), p.name, line)
}

// show prints what a command answered.
func (p *person) show(out string) {
	lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
	for i, line := range lines {
		if line == "" && len(lines) == 1 {
			return
		}
		if i == 40 {
			line = fmt.Sprintf("... %d lines more", len(lines)-i)
		}
		for _, part := range fold(p.short(line)) {
			fmt.Fprintf(p.s.o.Out, "%s%s\n", margin, part)
		}
		if i == 40 {
			return
		}
	}
}

// do runs a command that was said already.
func (p *person) do(ctx context.Context, name string, args ...string) (string, error) {
	cmd := p.command(ctx, name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	p.show(out.String())
	if err != nil {
		err = fmt.Errorf("%s: %s: %w", p.name, filepath.Base(name), err)
	}
	return out.String(), err
}

// run runs a command that must succeed.
func (p *person) run(ctx context.Context, name string, args ...string) (string, error) {
	p.say(name + " " + quoted(args))
	return p.do(ctx, name, args...)
}

// sh runs a line of shell with positional arguments, shown as it would be typed.
func (p *person) sh(ctx context.Context, script string, args ...string) (string, error) {
	p.say(typed(script, args))
	return p.do(ctx, "sh", append([]string{"-c", script, "sh"}, args...)...)
}

// syftfs runs this program.
func (p *person) syftfs(ctx context.Context, args ...string) (string, error) {
	p.say("syftfs " + quoted(args))
	return p.do(ctx, p.s.o.Self, args...)
}

// no runs this program for a question whose answer must be no (exit status 1).
func (p *person) no(ctx context.Context, args ...string) error {
	_, err := p.syftfs(ctx, args...)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return nil
	}
	if err == nil {
		return fmt.Errorf("%s: syftfs %s said yes, it must say no", p.name, quoted(args))
	}
	return err
}

// refused runs a command that must fail, saying text.
func (p *person) refused(ctx context.Context, text, name string, args ...string) error {
	if name == "sh" && len(args) > 2 {
		p.say(typed(args[1], args[3:]))
	} else {
		p.say(name + " " + quoted(args))
	}
	out, err := p.do(ctx, name, args...)
	var exit *exec.ExitError
	if err == nil {
		return fmt.Errorf("%s: this must be refused and was not", p.name)
	}
	if !errors.As(err, &exit) {
		return err
	}
	if !strings.Contains(out, text) {
		return fmt.Errorf("%s: refused with %q, want %q", p.name, out, text)
	}
	return nil
}

// unchanged checks that path does not exist for this person yet.
func (p *person) unchanged(ctx context.Context, path string) error {
	return p.refused(ctx, "No such file or directory", "cat", path)
}

// wait reads a status file until it says word, and says so once.
func (p *person) wait(ctx context.Context, path, word string) error {
	return p.until(ctx, path, "it says "+word, func(text string) (bool, error) {
		switch now := statusOf(text); now {
		case word:
			return true, nil
		case "failed", "rejected":
			return false, fmt.Errorf("%s: %s does not say %q but %q", p.name, path, word, text)
		}
		return false, nil
	})
}

// arrives reads a file until it is there and holds text.
func (p *person) arrives(ctx context.Context, path, text string) error {
	return p.until(ctx, path, "it is there", func(now string) (bool, error) { return strings.Contains(now, text), nil })
}

// until reads a file until it is as what says, and shows its beginning.
func (p *person) until(ctx context.Context, path, what string, is func(text string) (bool, error)) error {
	p.say("cat " + path + "   # until " + what)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	text := ""
	for {
		out, err := p.command(ctx, "cat", path).Output()
		if err == nil {
			text = string(out)
			ok, err := is(text)
			if err != nil {
				return err
			}
			if ok {
				p.show(beginning(text))
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %s: not in %s that %s: %q: %w", p.name, path, patience, what, text, ctx.Err())
		case d := <-p.s.ended:
			return fmt.Errorf("%s ended in the middle: %w: %s", d.name, orEnded(d.err), strings.TrimSpace(d.log.String()))
		case <-tick.C:
		}
	}
}

// beginning is the first lines of a text.
func beginning(text string) string {
	const lines = 9
	parts := strings.SplitN(text, "\n", lines+1)
	return strings.Join(parts[:min(len(parts), lines)], "\n")
}

// statusOf gives the word after "status:" in a job's status file.
func statusOf(text string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "status:"); ok {
			word, _, _ := strings.Cut(strings.TrimSpace(rest), ":")
			return word
		}
	}
	return ""
}

// quoted joins arguments as they would be typed.
func quoted(args []string) string {
	var out []string
	for _, a := range args {
		if a == "" || strings.ContainsAny(a, " \t\n'\"$`\\;|&<>(){}[]*?#!~^%") || strings.HasPrefix(a, "=") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		out = append(out, a)
	}
	return strings.Join(out, " ")
}

// typed puts positional arguments into a line of shell.
func typed(script string, args []string) string {
	var pairs []string
	for i, a := range args {
		n := fmt.Sprintf("$%d", i+1)
		pairs = append(pairs, `"$(dirname "`+n+`")"`, quoted([]string{filepath.Dir(a)}), `"`+n+`"`, quoted([]string{a}))
	}
	return strings.NewReplacer(pairs...).Replace(script)
}

func (s *story) chapter(title string) { fmt.Fprintf(s.o.Out, "\n== %s\n", title) }

func (s *story) note(text string) {
	fmt.Fprintf(s.o.Out, "%6.1fs         # %s\n", time.Since(s.began).Seconds(), text)
}
