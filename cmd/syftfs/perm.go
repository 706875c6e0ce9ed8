package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/openmined/syftfs/cmd/internal/httpapi"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/spf13/cobra"
)

func (a *app) permCmd() *cobra.Command {
	return group("perm", "Look at rule files, try them, and change them", "  syftfs perm lint\n  syftfs perm show owen@cancer-research.example/public",
		a.permLintCmd(), a.permDiffCmd(), a.permShowCmd(), a.permSetCmd(), a.permMoveCmd())
}

// there reports whether something is at path.
func there(path string) bool { _, err := os.Lstat(path); return err == nil }

func (a *app) permLintCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "lint [PATH]",
		Short: "Find what is wrong, or not meant, in rule files",
		Long: "lint looks at the rule files that count for PATH and at all below it (default: your whole datasite): what does not parse, and leaves its folder to you\n" +
			"alone; what parses and may not mean what its author thinks. Each with file, line and what to write instead. Exit status: 1 if a file does not parse.",
		Example: "  syftfs perm lint\n  syftfs perm lint ~/SyftBox/owen@cancer-research.example/public --json",
		Args:    between(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			var q service.PathQuestion
			if len(args) == 1 {
				q.Path = a.place(args[0])
			} else {
				st, err := ask(c.Context(), a, httpapi.Status, struct{}{})
				if err != nil {
					return err
				}
				q.Path = st.Email
			}
			found, err := ask(c.Context(), a, httpapi.PermLint, q)
			if err != nil {
				return err
			}
			broken := false
			err = a.show(found, func(w io.Writer) {
				for _, f := range found.Findings {
					fmt.Fprintln(w, clean(finding(f), false))
				}
				if len(found.Findings) == 0 {
					fmt.Fprintln(w, "Nothing to say: the rule files are in order.")
				}
			})
			for _, f := range found.Findings {
				broken = broken || f.Severity == "error"
			}
			if err == nil && broken {
				err = exit(1)
			}
			return err
		},
	}
}

// finding is one line, in the form that editors know: file:line:column: what.
func finding(f service.Finding) string {
	where := f.File
	if f.Line > 0 {
		where += fmt.Sprintf(":%d:%d", f.Line, f.Column)
	}
	s := fmt.Sprintf("%s: %s: ", where, f.Severity)
	if f.Field != "" {
		s += f.Field + ": "
	}
	if s += f.Text; f.Hint != "" {
		s += "; " + f.Hint
	}
	return s
}

func (a *app) permDiffCmd() *cobra.Command {
	var as string
	var remove bool
	c := &cobra.Command{
		Use:   "diff FILE",
		Short: "Tell who would gain and lose what if a rule file were saved",
		Long: "diff reads FILE (- is standard input) and tells what would change if it were saved as the rule file at --as; nothing is written. Without --as it is\n" +
			"meant for the folder that it lies in: syft.pub.yaml.new beside syft.pub.yaml. With --remove it tells what would change if FILE, a rule file in your\n" +
			"datasite, were removed.",
		Example: "  syftfs perm diff ~/SyftBox/owen@cancer-research.example/public/syft.pub.yaml.new\n" +
			"  syftfs perm diff draft.yaml --as owen@cancer-research.example/public/syft.pub.yaml\n" +
			"  syftfs perm diff --remove owen@cancer-research.example/public/syft.pub.yaml",
		Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			q := service.DiffQuestion{Path: as, Remove: remove}
			switch {
			case remove && as != "":
				return usage{errors.New("--remove names the file itself: leave out --as")}
			case remove:
				q.Path = a.place(args[0])
			default:
				text, err := a.text(args[0])
				if err != nil {
					return err
				}
				q.Text = text
				if q.Path == "" {
					if q.Path, err = meantFor(args[0]); err != nil {
						return err
					}
				}
				q.Path = a.place(q.Path)
			}
			ans, err := ask(c.Context(), a, httpapi.PermDiff, q)
			if err != nil {
				return err
			}
			err = a.show(ans, func(w io.Writer) {
				if ans.Broken != "" {
					fmt.Fprintln(w, "It does not parse, and would leave its folder to you alone:")
				}
				for _, p := range ans.Problems {
					fmt.Fprintln(w, clean(finding(p), false))
				}
				fmt.Fprintf(w, "As %s it would change:\n", clean(ans.File, false))
				effects(w, ans.Effects)
			})
			if err == nil && ans.Broken != "" {
				err = exit(1)
			}
			return err
		},
	}
	c.Flags().StringVar(&as, "as", "", "where it would be saved: owner@x.org/dir/syft.pub.yaml, or a path below the mount")
	c.Flags().BoolVar(&remove, "remove", false, "what if the rule file were removed")
	return c
}

// maxRules is more than a rule file may have, in bytes.
const maxRules = 1<<20 + 1

func (a *app) text(name string) (string, error) {
	in := a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", &service.Error{Code: service.BadInput, Field: "file", Message: err.Error(), Err: err}
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxRules))
	return string(text), err
}

// meantFor is the rule file that a draft beside it is meant for.
func meantFor(name string) (string, error) {
	dir, base := filepath.Split(name)
	for _, rule := range []string{"syft.pub.yaml", "syftperm.yaml"} {
		if strings.Contains(base, rule) {
			abs, err := filepath.Abs(dir)
			return filepath.Join(abs, rule), err
		}
	}
	return "", usage{fmt.Errorf("say where %s would be saved: --as owner@x.org/dir/syft.pub.yaml", name)}
}

func (a *app) permShowCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "show PATH",
		Short:   "Show the rules that decide on a path, and what they come to",
		Long:    "show prints the rule file that decides on PATH, which of its rules match, who holds what by them, and what part the other rule files on the way play.",
		Example: "  syftfs perm show ~/SyftBox/owen@cancer-research.example/public/readme.txt",
		Args:    exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			ans, err := ask(c.Context(), a, httpapi.PermShow, service.PathQuestion{Path: a.place(args[0])})
			if err != nil {
				return err
			}
			return a.show(ans, func(w io.Writer) { shown(w, ans) })
		},
	}
}

func shown(w io.Writer, ans service.ShowAnswer) {
	switch {
	case !ans.Exists:
		fmt.Fprintf(w, "No rule file decides on /%s: it is the owner's alone. `syftfs share` would make %s.\n", clean(ans.Path, false), clean(ans.File, false))
	case ans.Broken != "":
		fmt.Fprintf(w, "%s does not parse: its folder and all below is the owner's alone.\n", clean(ans.File, false))
	default:
		fmt.Fprintf(w, "%s decides on /%s:\n", clean(ans.File, false), clean(ans.Path, false))
	}
	if ans.Terminal {
		fmt.Fprintln(w, "It is terminal: rule files below it have no say.")
	}
	for line := range strings.Lines(ans.Text) {
		fmt.Fprintln(w, "    "+clean(strings.TrimRight(line, "\r\n"), true))
	}
	for _, p := range ans.Problems {
		fmt.Fprintln(w, clean(finding(p), false))
	}
	if len(ans.Rules) > 0 {
		rows := [][]string{{"RULE", "PATTERN", "HERE"}}
		for _, r := range ans.Rules {
			rows = append(rows, []string{at(r.File, r.Line), r.Pattern, r.Outcome})
		}
		table(w, rows)
	}
	if len(ans.Holders) > 0 {
		fmt.Fprintln(w)
		rows := [][]string{{"WHO", "MAY", "BY"}}
		for _, h := range ans.Holders {
			rows = append(rows, []string{spelled(h.Entry), h.Level, at(h.File, h.Line)})
		}
		table(w, rows)
	}
	if len(ans.Files) > 1 {
		fmt.Fprintln(w)
		rows := [][]string{{"RULE FILE", "PART"}}
		for _, f := range ans.Files {
			rows = append(rows, []string{f.File, f.Role})
		}
		table(w, rows)
	}
}

func (a *app) permSetCmd() *cobra.Command {
	var q service.Setting
	var terminal, noDirs, symlinks bool
	var maxSize int64
	c := &cobra.Command{
		Use:   "set DIR [PATTERN]",
		Short: "Say the whole access of one pattern, in the rule file that decides on a folder",
		Long: "set makes the rule with exactly PATTERN, relative to DIR, say what the flags say; the rule, or the file, is made if it is missing, other rules, comments\n" +
			"and order stay. Without any of --read, --create, --write, --admin the pattern gives nothing to anybody. --drop removes the rule. With --terminal alone no\n" +
			"PATTERN is needed.",
		Example: "  syftfs perm set owen@cancer-research.example/public '**' --read any\n" +
			"  syftfs perm set owen@cancer-research.example/drop '{{.UserEmail}}/**' --write USER --max-file-size 1048576\n" +
			"  syftfs perm set owen@cancer-research.example/public 'notes/*' --drop\n  syftfs perm set owen@cancer-research.example/public --terminal",
		Args: between(1, 2),
	}
	lists := map[string]*[]string{}
	for _, l := range service.Levels {
		lists[l] = c.Flags().StringSlice(l, nil, "who may "+l+": addresses, any, USER or *@domain, with commas between")
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		q.Dir, q.Grants = a.place(args[0]), map[string][]string{}
		if len(args) == 2 {
			q.Pattern = args[1]
		}
		for l, users := range lists {
			if len(*users) > 0 {
				q.Grants[l] = *users
			}
		}
		if c.Flags().Changed("terminal") {
			q.Terminal = &terminal
		}
		if c.Flags().Changed("max-file-size") || c.Flags().Changed("no-dirs") || c.Flags().Changed("allow-symlinks") {
			q.Limits = &service.Limits{MaxFileSize: maxSize, AllowDirs: !noDirs, AllowSymlinks: symlinks}
		}
		done, err := ask(c.Context(), a, httpapi.PermSet, q)
		if err != nil {
			return err
		}
		return a.edited(done, "the rules say so already")
	}
	c.Flags().BoolVar(&q.Drop, "drop", false, "remove the rule")
	c.Flags().BoolVar(&terminal, "terminal", false, "rule files below have no say (--terminal=false: they have)")
	c.Flags().Int64Var(&maxSize, "max-file-size", 0, "bytes that a file of others may have; 0 is no limit")
	c.Flags().BoolVar(&noDirs, "no-dirs", false, "others may not make folders")
	c.Flags().BoolVar(&symlinks, "allow-symlinks", false, "others may make symbolic links")
	lockoutFlag(c, &q.AllowLockout)
	return c
}

func (a *app) permMoveCmd() *cobra.Command {
	var q service.Moving
	c := &cobra.Command{
		Use:   "move FROM TO",
		Short: "Move a file or folder and keep what people may do with it",
		Long: "move renames FROM to TO inside your datasite and changes the rules so that everybody keeps the rights that they had. At no moment does anybody have more.\n" +
			"What cannot be kept by rules is refused; a plain mv moves it under the rules that hold there.",
		Example: "  syftfs perm move owen@cancer-research.example/drafts/a.csv owen@cancer-research.example/public/a.csv",
		Args:    exactly(2),
		RunE: func(c *cobra.Command, args []string) error {
			q.From, q.To = a.place(args[0]), args[1]
			if abs, err := filepath.Abs(args[1]); err == nil && there(filepath.Dir(abs)) {
				q.To = abs
			}
			done, err := ask(c.Context(), a, httpapi.PermMove, q)
			if err != nil {
				return err
			}
			return a.show(done, func(w io.Writer) {
				fmt.Fprintf(w, "Moved %s to %s.\n", clean(args[0], false), clean(args[1], false))
				if done.Changed {
					fmt.Fprintln(w, "Changed "+clean(done.File, false))
				}
				if done.Also != "" {
					fmt.Fprintln(w, "Changed "+clean(done.Also, false))
				}
			})
		},
	}
	lockoutFlag(c, &q.AllowLockout)
	return c
}
