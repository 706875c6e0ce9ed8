package jobs

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"path"
	"strings"
)

// RunScript is the run.sh that a python job gets. The dependencies, the install source first, and the entrypoint are pasted as they are:
// CheckArgument says which of them survive that.
func RunScript(entrypoint string, deps []string, pyproject bool) string {
	lines := []string{
		"#!/bin/bash", "set -euo pipefail", "export UV_SYSTEM_PYTHON=false", "cd code", "uv venv --python 3.12",
		"source .venv/bin/activate",
	}
	if pyproject {
		lines = append(lines, "uv sync --python 3.12")
	}
	install := "uv pip install"
	for _, d := range deps {
		install += ` "` + d + `"`
	}
	lines = append(lines, install, "export PYTHONPATH=.:${PYTHONPATH:-}", "python "+entrypoint)
	return strings.Join(lines, "\n") + "\n"
}

// ErrNoEntrypoint is returned when no script can be told to be the one to start.
var ErrNoEntrypoint = errors.New("could not tell which script to start")

// CheckEntrypoint refuses a path below code/ that run.sh could not name without quotes.
func CheckEntrypoint(p string) error {
	if err := CheckPath(p); err != nil {
		return err
	}
	plain := func(r rune) bool {
		return r > 0x7f || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("._-/+@%,:=", r)
	}
	if strings.HasPrefix(p, "-") || strings.ContainsFunc(p, func(r rune) bool { return !plain(r) }) {
		return fmt.Errorf("%q: rename the script: blanks and signs that a shell reads cannot stand in the name of the script that is started: %w", p, ErrPath)
	}
	return nil
}

// CheckDependency refuses a dependency that run.sh could not name between double quotes.
func CheckDependency(d string) error {
	if d == "" || strings.ContainsAny(d, "\"$`\\\n\r") {
		return fmt.Errorf("dependency %q: it is empty, or has a sign that a shell reads: %w", d, ErrPath)
	}
	return nil
}

// Entrypoint tells which script of a project folder is started: given, if it is there, else main.py, else the only .py at the root.
// A project that is one file has that file. Errors wrap ErrNoEntrypoint, fs.ErrNotExist or ErrPath.
func Entrypoint(fsys iofs.FS, given string) (string, error) {
	if given != "" {
		if err := CheckEntrypoint(given); err != nil {
			return "", err
		}
		info, err := iofs.Stat(fsys, given)
		switch {
		case err != nil:
			return "", fmt.Errorf("entrypoint %q: %w", given, err)
		case !info.Mode().IsRegular() || path.Ext(given) != ".py":
			return "", fmt.Errorf("entrypoint %q is not a .py file: %w", given, ErrNoEntrypoint)
		}
		return given, nil
	}
	entries, err := iofs.ReadDir(fsys, ".")
	if err != nil {
		return "", fmt.Errorf("entrypoint: %w", err)
	}
	var scripts []string
	for _, e := range entries {
		if !e.Type().IsRegular() || path.Ext(e.Name()) != ".py" {
			continue
		}
		if e.Name() == "main.py" {
			return e.Name(), nil
		}
		scripts = append(scripts, e.Name())
	}
	switch len(scripts) {
	case 1:
		return scripts[0], CheckEntrypoint(scripts[0])
	case 0:
		return "", fmt.Errorf("there is no .py file at the top of the folder; add main.py: %w", ErrNoEntrypoint)
	}
	return "", fmt.Errorf("there are %d .py files at the top of the folder (%s); call the one to start main.py: %w",
		len(scripts), strings.Join(scripts, ", "), ErrNoEntrypoint)
}
