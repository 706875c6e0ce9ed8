package perm

import "strings"

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
		d.Steps = append(d.Steps, Step{Text: "Blocked by " + name + " limit", From: d.By})
	}
	if d.ground != nil {
		d.ground = &ground{overLimit, d.ground.file, d.ground.kind}
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
	lines := []string{r.User.String() + verb + max(r.Want, Read).String() + " " + shownDir(r.Owner, r.Path) + "."}
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
	if hint, _ := d.Remedy(); hint.Text != "" {
		lines = append(lines, "  "+hint.Text)
	}
	return strings.Join(lines, "\n") + "\n"
}
