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
		d.say("Blocked by "+name+" limit", d.By)
	}
	return d
}

// Explain tells the decision as sentences, one a line.
func (d Decision) Explain() string {
	r := d.Request
	shown := "/" + strings.TrimSuffix(string(r.Owner)+"/"+r.Path, "/")
	var b strings.Builder
	verb := " may not "
	if d.Allowed {
		verb = " may "
	}
	b.WriteString(r.User.String() + verb + max(r.Want, Read).String() + " " + shown + ".\n")
	for _, s := range d.Steps {
		b.WriteString("  " + s.Text)
		if where := s.From.String(); where != "" && (s.From.Line != 0 || !strings.Contains(s.Text, where)) {
			b.WriteString(" [" + where + "]")
		}
		b.WriteByte('\n')
	}
	if d.Level != None && !d.Owner {
		b.WriteString("  Highest level held: " + d.Level.String() + ".\n")
	}
	return b.String()
}
