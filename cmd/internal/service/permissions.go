package service

import (
	"context"
	"errors"

	"github.com/openmined/syftfs/fs/grant"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/account"
	"github.com/openmined/syftfs/perm/rulefile"
)

// PathQuestion is a question about one path, as a person types it.
type PathQuestion struct {
	Path string `json:"path"`
}

// Holder is somebody whom the rules name for a path.
type Holder struct {
	Entry   string `json:"entry"` // as the rule has it: an address, "*", "USER", "*@x.org"
	Level   string `json:"level"`
	File    string `json:"file"`
	Line    int    `json:"line"`
	Pattern string `json:"pattern"`
}

// Person is a local account with what it may do.
type Person struct {
	Email string `json:"email"`
	Level string `json:"level"`
	File  string `json:"file,omitempty"`
	Line  int    `json:"line,omitempty"`
	Note  string `json:"note,omitempty"`
}

// WhoAnswer says who may do what, and through which rule.
type WhoAnswer struct {
	Path    string   `json:"path"`
	Owner   string   `json:"owner"` // who may do everything
	Holders []Holder `json:"holders"`
	People  []Person `json:"people"` // the local accounts, by what the rules give them
}

// Who tells who may do what with a path.
func (s *Service) Who(ctx context.Context, c Caller, q PathQuestion) (WhoAnswer, error) {
	if err := s.admin(c, "asking who"); err != nil {
		return WhoAnswer{}, err
	}
	path, err := s.path(q.Path)
	if err != nil {
		return WhoAnswer{}, err
	}
	holders, err := s.View.Holders(ctx, path)
	if err != nil {
		return WhoAnswer{}, Wrap(err)
	}
	a := WhoAnswer{Path: path.String(), Owner: string(path.Owner), Holders: toldHolders(holders), People: []Person{}}
	for _, acc := range s.Accounts.List() {
		if acc.Root {
			continue
		}
		p := Person{Email: string(acc.Email), Level: perm.None.String()}
		who, err := s.asker(string(acc.Email))
		if err != nil {
			return WhoAnswer{}, err
		}
		p.Note = who.note
		if !who.disabled {
			d, err := s.View.Explain(ctx, who.user, path, perm.None)
			if err != nil {
				return WhoAnswer{}, Wrap(err)
			}
			p.Level = d.Level.String()
			if d.Level > perm.None {
				p.File, p.Line = d.By.File, d.By.Line
			}
		}
		a.People = append(a.People, p)
	}
	return a, nil
}

func toldHolders(holders []perm.Holder) []Holder {
	list := []Holder{}
	for _, h := range holders {
		list = append(list, Holder{Entry: h.Entry, Level: h.Level.String(), File: h.By.File, Line: h.By.Line, Pattern: h.Pattern})
	}
	return list
}

// Finding is something in a rule file that somebody should look at.
type Finding struct {
	File string `json:"file"`
	rulefile.Problem
}

// LintAnswer is everything that was found, by folder.
type LintAnswer struct {
	Findings []Finding `json:"findings"`
}

// Lint looks at the rule files of a path and of all below it.
func (s *Service) Lint(ctx context.Context, c Caller, q PathQuestion) (LintAnswer, error) {
	if err := s.admin(c, "looking at all rule files"); err != nil {
		return LintAnswer{}, err
	}
	path, err := s.path(q.Path)
	if err != nil {
		return LintAnswer{}, err
	}
	found, err := s.Granter.Lint(ctx, path)
	if err != nil {
		return LintAnswer{}, Wrap(err)
	}
	a := LintAnswer{Findings: []Finding{}}
	for _, f := range found {
		a.Findings = append(a.Findings, Finding{"/" + f.File.String(), f.Problem})
	}
	return a, nil
}

// DiffQuestion is the question of `syftfs perm diff`: what would change if Text were the rule file at Path.
type DiffQuestion struct {
	Path   string `json:"path"`
	Text   string `json:"text"`
	Remove bool   `json:"remove"` // what if the file were removed
}

// Effect is a change of what somebody may do.
type Effect struct {
	Entry  string `json:"entry"`
	Path   string `json:"path"`
	Reach  string `json:"reach"` // itself, whole (with everything below), inside (everything below)
	Before string `json:"before"`
	After  string `json:"after"`
	Note   string `json:"note,omitempty"`
	Text   string `json:"text"`
}

// Effects is what an edit changes on the files and folders that exist.
type Effects struct {
	Gains     []Effect `json:"gains"`
	Losses    []Effect `json:"losses"`
	Truncated bool     `json:"truncated"`
	Looked    int      `json:"looked"` // at how many files and folders
}

var reaches = map[grant.Reach]string{grant.ReachSelf: "itself", grant.ReachWhole: "whole", grant.ReachInside: "inside"}

func toldEffects(e grant.Effects) Effects {
	list := func(from []grant.Effect) []Effect {
		out := []Effect{}
		for _, x := range from {
			out = append(out, Effect{Entry: x.Entry, Path: x.Path.String(), Reach: reaches[x.Reach], Before: x.Before.String(), After: x.After.String(), Note: x.Note, Text: x.String()})
		}
		return out
	}
	return Effects{Gains: list(e.Gains), Losses: list(e.Losses), Truncated: e.Truncated, Looked: e.Paths}
}

// DiffAnswer is what a rule file would change.
type DiffAnswer struct {
	File     string    `json:"file"`
	Effects  Effects   `json:"effects"`
	Problems []Finding `json:"problems"`
	Broken   string    `json:"broken,omitempty"` // why it would leave its folder to the owner alone
}

// Diff tells what a rule file would change if it were saved. Nothing is written.
func (s *Service) Diff(ctx context.Context, c Caller, q DiffQuestion) (DiffAnswer, error) {
	if err := s.admin(c, "trying rules"); err != nil {
		return DiffAnswer{}, err
	}
	path, err := s.path(q.Path)
	if err != nil {
		return DiffAnswer{}, err
	}
	text := []byte(q.Text)
	if q.Remove {
		text = nil
	}
	e, problems, err := s.Granter.Diff(ctx, path, text)
	a := DiffAnswer{File: "/" + path.String(), Effects: toldEffects(e), Problems: []Finding{}}
	for _, p := range problems {
		a.Problems = append(a.Problems, Finding{a.File, p})
	}
	if broken, ok := errors.AsType[*rulefile.Error](err); ok {
		a.Broken = broken.Error()
		return a, nil
	}
	return a, wrapped(err)
}

// ShowAnswer is what the rules say about a path.
type ShowAnswer struct {
	Path     string    `json:"path"`
	File     string    `json:"file"` // the rule file that decides
	Exists   bool      `json:"exists"`
	Terminal bool      `json:"terminal"`
	Broken   string    `json:"broken,omitempty"`
	Text     string    `json:"text"` // of the file
	Rules    []WhyRule `json:"rules"`
	Files    []WhyFile `json:"files"`
	Holders  []Holder  `json:"holders"`
	Problems []Finding `json:"problems"`
}

// PermShow tells what the rules say about a path.
func (s *Service) PermShow(ctx context.Context, c Caller, q PathQuestion) (ShowAnswer, error) {
	if err := s.admin(c, "showing rules"); err != nil {
		return ShowAnswer{}, err
	}
	path, err := s.path(q.Path)
	if err != nil {
		return ShowAnswer{}, err
	}
	shown, err := s.Granter.Show(ctx, path)
	if err != nil {
		return ShowAnswer{}, Wrap(err)
	}
	a := ShowAnswer{Path: path.String(), File: "/" + shown.File.String(), Exists: shown.Exists, Terminal: shown.Terminal, Text: string(shown.Text),
		Rules: []WhyRule{}, Files: []WhyFile{}, Holders: toldHolders(shown.Holders), Problems: []Finding{}}
	if shown.Broken != nil {
		a.Broken = shown.Broken.Error()
	}
	for _, r := range shown.Rules {
		a.Rules = append(a.Rules, WhyRule{File: r.From.File, Line: r.From.Line, Pattern: r.Pattern, Outcome: matches(r)})
	}
	for _, f := range shown.Files {
		a.Files = append(a.Files, WhyFile{File: f.From.File, Role: f.Role.String()})
	}
	for _, p := range shown.Problems {
		a.Problems = append(a.Problems, Finding{a.File, p})
	}
	return a, nil
}

func matches(r perm.TracedRule) string {
	if r.Matched {
		return "matches"
	}
	return "does not match"
}

// knownPeople lists whom questions may be about by name: the local accounts, and a guest.
func (s *Service) knownPeople() []string {
	var people []string
	for _, acc := range s.Accounts.List() {
		if acc.State == account.Active {
			people = append(people, string(acc.Email))
		}
	}
	return append(people, Guest)
}

// Guest is what people type for whoever is not signed in.
const Guest = "guest"

// Levels are the words for what can be held, the lowest first.
var Levels = []string{perm.Read.String(), perm.Create.String(), perm.Write.String(), perm.Admin.String()}
