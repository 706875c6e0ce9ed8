package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"strings"
	"testing"

	"github.com/openmined/syftfs/cmd/internal/config"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/perm/account"
)

func TestClean(t *testing.T) {
	for _, c := range []struct {
		in, line, lines string
	}{
		{"plain é 日本 🙂", "plain é 日本 🙂", "plain é 日本 🙂"},
		{"a\tb\nc\r", "a␉b␊c␍", "a\tb\nc␍"},
		{"\x1b[31mred\x1b[0m", "␛[31mred␛[0m", "␛[31mred␛[0m"},
		{"\u009b31m\x7f", "�31m␡", "�31m␡"},
		{"\u202egnp.exe\u2066\u200b", "�gnp.exe��", "�gnp.exe��"},
		{"\xff\x00", "�␀", "�␀"},
		{"\u2028\u2029", "��", "��"},
	} {
		if got := clean(c.in, false); got != c.line {
			t.Errorf("%q: %q, want %q", c.in, got, c.line)
		}
		if got := clean(c.in, true); got != c.lines {
			t.Errorf("%q: %q, want %q", c.in, got, c.lines)
		}
	}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	table(&b, [][]string{{"NAME", "STATE"}, {"a", "on"}, {"a longer name", "off\nforged  row"}, {"t\tb", ""}})
	want := "NAME           STATE\na              on\na longer name  off␊forged  row\nt␉b            \n"
	if b.String() != want {
		t.Errorf("%q\nwant %q", b.String(), want)
	}
	b.Reset()
	table(&b, [][]string{{"NAME", "STATE"}})
	if b.String() != "NAME  STATE\n" {
		t.Errorf("%q", b.String())
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 20: "1.0 MiB", 200 << 20: "200.0 MiB", 1 << 30: "1.0 GiB", 5 << 40: "5120.0 GiB"} {
		if got := size(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestFinish(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		exit int
		code string // "" when nothing is printed
	}{
		{"done", nil, 0, ""},
		{"a status alone", exit(1), 1, ""},
		{"a status, inside", fmt.Errorf("x: %w", exit(10)), 10, ""},
		{"how it was typed", usage{errors.New("usage: syftfs x")}, 2, "bad_input"},
		{"how it was typed, inside", fmt.Errorf("x: %w", usage{errors.New("usage")}), 2, "bad_input"},
		{"no datasite", fmt.Errorf("x: %w", config.ErrNone), 8, "not_running"},
		{"a refusal", &service.Error{Code: service.Forbidden, Message: "m"}, 4, "forbidden"},
		{"not there", fmt.Errorf("x: %w", iofs.ErrNotExist), 5, "not_found"},
		{"of a part", fmt.Errorf("x: %w", account.ErrEmailTaken), 6, "email_taken"},
		{"the machine", &service.Error{Code: service.Machine, Message: "m"}, 10, "unsupported_environment"},
		{"unknown", errors.New("x"), 1, "unexpected"},
		{"interrupted", fmt.Errorf("x: %w", context.Canceled), 130, "unexpected"},
		{"every code of the service", &service.Error{Code: service.NotYet, Message: "m"}, 75, "not_yet"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if got := (&app{out: &out, err: &errs}).finish(c.err); got != c.exit {
				t.Errorf("exit status %d, want %d", got, c.exit)
			}
			if out.Len() > 0 || (errs.Len() > 0) != (c.code != "") || c.code != "" && !strings.HasPrefix(errs.String(), "syftfs: ") {
				t.Errorf("%q, %q", out.String(), errs.String())
			}
			out.Reset()
			errs.Reset()
			if got := (&app{out: &out, err: &errs, json: true}).finish(c.err); got != c.exit {
				t.Errorf("exit status %d, want %d", got, c.exit)
			}
			if errs.Len() > 0 || (out.Len() > 0) != (c.code != "") {
				t.Errorf("%q, %q", out.String(), errs.String())
			}
			if c.code != "" {
				o := object(t, out.String())
				e := o["error"].(map[string]any)
				if o["ok"] != false || e["code"] != c.code || e["message"] == "" {
					t.Errorf("%v", o)
				}
			}
		})
	}
}

// TestReady: `up` in the foreground, for people and for programs.
func TestReady(t *testing.T) {
	var out bytes.Buffer
	st := service.State{Email: "owen@lab.example", Mount: "/home/owen/SyftBox"}
	(&app{out: &out}).ready(st)
	if !strings.HasPrefix(out.String(), "Up: owen@lab.example is mounted at /home/owen/SyftBox.") || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("%q", out.String())
	}
	out.Reset()
	(&app{out: &out, json: true}).ready(st)
	if o := object(t, out.String()); o["ok"] != true || o["data"].(map[string]any)["mount"] != st.Mount {
		t.Errorf("%v", o)
	}
}

func TestPrintJobIsSafe(t *testing.T) {
	var out bytes.Buffer
	printJob(&out, service.JobDetails{Job: service.Job{Name: "x\x1b", Message: "a\nb", Notes: []string{"n\x07"}}})
	if strings.ContainsAny(out.String(), "\x1b\a") || !strings.Contains(out.String(), "a␊b") {
		t.Errorf("%q", out.String())
	}
}
