package perm

import (
	"slices"
	"strings"
)

// A limit's reason is its name between these.
const limitBefore, limitAfter = "Blocked by ", " limit"

// Limit applies the limits of the deciding rule to what is about to be made or changed, and gives d back, refused with its
// reason if f is beyond one. Reading and the owner are never limited.
func (d Decision) Limit(f File) Decision {
	if !d.Allowed || d.Owner || d.Request.Want < Create {
		return d
	}
	var beyond []string
	if d.Limits.MaxFileSize > 0 && f.Size > d.Limits.MaxFileSize {
		beyond = append(beyond, "max_file_size")
	}
	if d.Limits.NoDirs && f.Dir {
		beyond = append(beyond, "allow_dirs")
	}
	if !d.Limits.AllowSymlinks && f.Symlink {
		beyond = append(beyond, "allow_symlinks")
	}
	if len(beyond) == 0 {
		return d
	}
	d.Allowed = false
	d.Steps = append([]Step(nil), d.Steps...) // they are shared with other decisions
	for _, name := range beyond {
		d.say(limitBefore+name+limitAfter, d.By)
	}
	return d
}

// Explain tells the decision as sentences, one a line: what was asked, the reasons with the place each comes from, the
// highest level held, and what would have to change for a refusal to become a grant.
func (d Decision) Explain() string {
	r := d.Request
	verb := " may not "
	if d.Allowed {
		verb = " may "
	}
	shown := "/" + strings.TrimSuffix(string(r.Owner)+"/"+r.Path, "/")
	lines := []string{r.User.String() + verb + max(r.Want, Read).String() + " " + shown + "."}
	for _, s := range d.Steps {
		line := "  " + s.Text
		if s.From.Line != 0 {
			line += " [" + s.From.String() + "]"
		}
		lines = append(lines, line)
	}
	if !d.Owner && d.Level != None {
		lines = append(lines, "  The highest level held here is "+d.Level.String()+".")
	}
	if hint := d.remedy(); hint != "" {
		lines = append(lines, "  "+hint)
	}
	return strings.Join(lines, "\n") + "\n"
}

// remedy is the smallest change that would allow it.
func (d Decision) remedy() string {
	if d.Allowed || len(d.Steps) == 0 {
		return ""
	}
	first := d.Steps[0].Text
	need, user := max(d.Request.Want, Read), d.Request.User.String()
	if slices.ContainsFunc(d.Steps, func(s Step) bool { return s.Text == adminNeeded }) {
		need = Admin
	}
	if d.Request.User.nobody() {
		user = `"*"`
	}
	old := strings.HasSuffix(d.By.File, "/"+FilePerm)
	switch {
	case d.beyondLimit():
		return "The rule grants it within its limits; whoever may edit " + d.By.File + " can raise them."
	case strings.HasPrefix(first, brokenAt):
		return "Until " + d.By.File + " is repaired, only the owner gets in."
	case first == noFile:
		return "It would take a " + FilePub + " in its folder, or in one above, with a rule that names " + user + " in its " + need.String() + " list."
	case first == noRule:
		return "It would take a rule in " + d.By.File + " that matches this path and gives " + user + " " + need.String() + "."
	case old:
		return "It would take a later rule in " + d.By.File + " that allows " + user + " " + need.String() + " (and read, which create and write need)."
	}
	return "It would take " + user + " in the " + need.String() + " list of the pattern '" + d.Pattern + "' in " + d.By.File + "."
}

func (d Decision) beyondLimit() bool {
	last := d.Steps[len(d.Steps)-1].Text
	return strings.HasPrefix(last, limitBefore) && strings.HasSuffix(last, limitAfter)
}
