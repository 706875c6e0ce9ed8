package rulefile

// Lint gives everything that can be said about a rule file by itself, in the order of its lines: what keeps it from
// parsing, or else Parse's warnings and what a careful reader would ask about. The name is as for Parse.
func Lint(name string, src []byte) []Problem {
	var spots []spot
	r := &reader{file: name, spots: &spots}
	if _, err := r.read(src); err != nil {
		return append(r.problems, err.(*Error).Problem)
	}
	return r.problems
}
