package perm

import "strings"

// Remedy is the smallest grant that would turn a refusal into a permission, for tools to show or to do.
type Remedy struct {
	File    string // "/owner/dir/syft.pub.yaml" to edit, or to make
	Exists  bool
	Kind    Kind
	Pattern string // the existing rule's, "" when a new rule is needed
	Entry   string // the user entry to add: an address, or "*"
	Level   Level
	Text    string // the sentence that Explain prints
}

// ground is what a decision stands on, as far as a remedy needs it. It never changes.
type ground struct {
	cause cause
	file  string // the rule file that governs, "" if none does
	kind  Kind
}

// Remedy tells what would turn a refusal into a permission. It is false for what is allowed already, for refusals that no
// rule made, and where no grant would do: a rule file that must be repaired first, and a limit; then File and Text are set,
// and nothing else is to be relied on.
func (d Decision) Remedy() (Remedy, bool) {
	g := d.ground
	if d.Allowed || g == nil || d.Request.Owner.nobody() {
		return Remedy{}, false
	}
	r := Remedy{File: g.file, Exists: g.file != "", Kind: g.kind, Entry: d.Request.User.String(), Level: max(d.Request.Want, Read)}
	shown := r.Entry
	if d.Request.User.nobody() {
		r.Entry, shown = "*", `"*"`
	}
	folder, base := parent(d.Request.Path)
	if isRuleFile(base) && r.Level > Read {
		r.Level = Admin
	}
	switch g.cause {
	case overLimit:
		r.Pattern = d.Pattern
		r.Text = "The rule grants it within its limits; whoever may edit " + r.File + " can raise them."
		return r, false
	case unread:
		r.Text = "Until " + r.File + " is repaired, only the owner gets in."
		return r, false
	case noFile:
		if d.Request.isDir() {
			folder = d.Request.Path
		}
		r.File, r.Kind = shownDir(d.Request.Owner, folder)+"/"+FilePub, KindPub
		r.Text = "It would take a " + FilePub + " in its folder, or in one above, with a rule that names " + shown + " in its " + r.Level.String() + " list."
	case noMatch:
		r.Text = "It would take a rule in " + r.File + " that matches this path and gives " + shown + " " + r.Level.String() + "."
	default:
		if g.kind == KindPerm {
			r.Text = "It would take a later rule in " + r.File + " that allows " + shown + " " + r.Level.String() + andRead(r.Level) + "."
			break
		}
		r.Pattern = d.Pattern
		r.Text = "It would take " + shown + " in the " + r.Level.String() + " list of the pattern '" + d.Pattern + "' in " + r.File + "."
	}
	return r, true
}

// andRead reminds that in syftperm.yaml two rights count only together with a third.
func andRead(l Level) string {
	if l == Create || l == Write {
		return " (and read, which it needs)"
	}
	return ""
}

// shownDir is a folder as reasons name it.
func shownDir(owner User, dir string) string {
	return "/" + strings.TrimSuffix(string(owner)+"/"+dir, "/")
}
