package grant

import (
	"fmt"
	"strings"

	"github.com/openmined/syftfs/perm"
)

// patternOf is the pattern for exactly the path rel below the folder of a rule file: for a folder with everything below it.
func patternOf(kind perm.Kind, rel string, isDir bool) (string, error) {
	if !isDir {
		return literal(kind, rel, false)
	}
	if rel == "" {
		return "**", nil
	}
	return joinPattern(kind, rel, "**")
}

// joinPattern makes a pattern that is relative to a folder relative to the folder of the rule file, from which rel leads
// to the first.
func joinPattern(kind perm.Kind, rel, pattern string) (string, error) {
	if rel == "" {
		return pattern, nil
	}
	dir, err := literal(kind, rel, isGlob(pattern))
	if err != nil {
		return "", err
	}
	if kind == perm.KindPub && isGlob(dir) && !isGlob(pattern) && !strings.Contains(pattern, "{{") {
		// The whole is a glob now, which makes braces and backslashes special that were not.
		if pattern, err = literal(kind, pattern, true); err != nil {
			return "", err
		}
	}
	return dir + "/" + pattern, nil
}

func isGlob(pattern string) bool { return strings.ContainsAny(pattern, "*?[") }

// literal is a pattern that matches exactly the path rel. glob says that it becomes part of a glob, where more is special.
func literal(kind perm.Kind, rel string, glob bool) (string, error) {
	if kind == perm.KindPerm {
		if strings.ContainsAny(rel, `*?[]{}\`) {
			return "", fmt.Errorf("syftperm.yaml cannot name %q because of its wildcard characters; rename it, or use syft.pub.yaml: %w", rel, ErrByHand)
		}
		return rel, nil
	}
	if !glob && !isGlob(rel) && !strings.Contains(rel, "{{") {
		return rel, nil
	}
	var b strings.Builder
	for _, r := range rel {
		switch r {
		case '\\', '[', ']':
			b.WriteString(`\` + string(r))
		case '*', '?', '{', '}': // in a class, which also makes the whole a glob
			b.WriteString("[" + string(r) + "]")
		default:
			b.WriteRune(r)
		}
	}
	return b.String(), nil
}
