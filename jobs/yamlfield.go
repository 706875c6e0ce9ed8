package jobs

// The values of a document, each with the refusal that names its field.

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

var kindNames = map[string]string{
	tagStr: "text", tagNull: "null", tagBool: "true or false", tagInt: "a number", tagNum: "a number", tagTime: "a time",
	tagSeq: "a list", tagMap: "a map", tagOdd: "a merge key",
}

func (y *yamlFile) fail(n *yaml.Node, field, reason string) {
	if y.err != nil {
		return
	}
	e := &FormatError{File: y.name, Field: field, Reason: reason}
	if n != nil {
		e.Line = n.Line
	}
	y.err = e
}

// get finds a key whose value has one of the tags; nil, with the refusal noted, otherwise. A missing key is nil; so is null where it is allowed.
func (y *yamlFile) get(key string, required bool, tags ...string) *yaml.Node {
	n, ok := y.keys[key]
	if !ok {
		if required {
			y.fail(nil, key, "is missing")
		}
		return nil
	}
	got := tagOf(n)
	for _, t := range tags {
		if got == t {
			if got == tagNull {
				return nil
			}
			return n
		}
	}
	name := kindNames[got]
	if name == "" {
		name = got
	}
	y.fail(n, key, "is "+name+", but must be "+kindNames[tags[0]])
	return nil
}

func (y *yamlFile) text(key string, required bool) string {
	tags := []string{tagStr, tagNull}
	if required {
		tags = tags[:1]
	}
	n := y.get(key, required, tags...)
	if n == nil {
		return ""
	}
	return n.Value
}

// word is a text that must be one of words; the first is the default.
func (y *yamlFile) word(key string, required bool, words ...string) string {
	n := y.get(key, required, tagStr)
	if n == nil {
		return words[0]
	}
	for _, w := range words {
		if n.Value == w {
			return w
		}
	}
	y.fail(n, key, fmt.Sprintf("is %q, but must be one of: %s", n.Value, strings.Join(words, ", ")))
	return words[0]
}

func (y *yamlFile) flag(key string) bool {
	n := y.get(key, false, tagBool)
	return n != nil && yamlBool(n.Value)
}

func yamlBool(s string) bool {
	switch strings.ToLower(s) {
	case "yes", "true", "on":
		return true
	}
	return false
}

func (y *yamlFile) list(key string) []string {
	n := y.get(key, false, tagSeq)
	if n == nil {
		return nil
	}
	return y.texts(n, key)
}

func (y *yamlFile) texts(n *yaml.Node, field string) []string {
	out := make([]string, 0, len(n.Content))
	for _, c := range n.Content {
		if tagOf(c) != tagStr {
			y.fail(c, field, "has an entry that is not text")
			return nil
		}
		out = append(out, c.Value)
	}
	return out
}

// lists is a map of names to lists of text, or null.
func (y *yamlFile) lists(key string) map[string][]string {
	n := y.get(key, false, tagMap, tagNull)
	if n == nil {
		return nil
	}
	out := map[string][]string{}
	for i := 0; i < len(n.Content); i += 2 {
		if tagOf(n.Content[i+1]) != tagSeq {
			y.fail(n.Content[i+1], key, "must hold lists of names")
			return nil
		}
		out[n.Content[i].Value] = y.texts(n.Content[i+1], key)
	}
	return out
}

// time reads a time as text or as YAML's own, a date, or a number of seconds since 1970.
func (y *yamlFile) time(key string, required bool) time.Time {
	tags := []string{tagTime, tagStr, tagInt, tagNum, tagNull}
	if required {
		tags = tags[:4]
	}
	n := y.get(key, required, tags...)
	if n == nil {
		return time.Time{}
	}
	t, ok := parseTime(n.Value)
	if !ok || t.Year() < 1 || t.Year() > 9999 {
		y.fail(n, key, fmt.Sprintf("%q is not a time; write it as '2026-06-11T09:30:00.123456Z'", n.Value))
		return time.Time{}
	}
	return t
}

var timeLayouts = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07", "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00",
	"2006-01-02T15:04", "2006-01-02", "2006-1-2T15:04:05Z07:00", "2006-1-2T15:04:05",
}

func parseTime(s string) (time.Time, bool) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		if f > 2e10 || f < -2e10 { // beyond that the peers' client takes it for milliseconds
			f /= 1000
		}
		if f > 253402300799 || f < -62135596800 {
			return time.Time{}, false
		}
		return time.UnixMicro(int64(f * 1e6)).UTC(), true
	}
	date, clock, both := strings.Cut(strings.Replace(strings.Replace(s, "t", "T", 1), " ", "T", 1), "T")
	if both {
		date += "T" + strings.ToUpper(strings.TrimSpace(strings.ReplaceAll(clock, " ", "")))
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, date); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// any reads a free map; numbers keep their kind, times become text.
func (y *yamlFile) any(key string) map[string]any {
	n := y.get(key, false, tagMap)
	if n == nil {
		return nil
	}
	v, err := plainValue(n)
	if err != nil {
		y.fail(n, key, err.Error())
		return nil
	}
	m, _ := v.(map[string]any)
	return m
}

func plainValue(n *yaml.Node) (any, error) {
	switch tagOf(n) {
	case tagSeq:
		out := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, err := plainValue(c)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case tagMap:
		out := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			v, err := plainValue(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			out[n.Content[i].Value] = v
		}
		return out, nil
	case tagNull:
		return nil, nil
	case tagBool:
		return yamlBool(n.Value), nil
	case tagInt:
		if i, err := strconv.ParseInt(strings.ReplaceAll(n.Value, "_", ""), 10, 64); err == nil && (n.Value == "0" || strings.TrimLeft(n.Value, "+-")[0] != '0') {
			return i, nil
		}
		return nil, fmt.Errorf("the number %q is written in a form that is not read", n.Value)
	case tagNum:
		if f, err := strconv.ParseFloat(strings.ReplaceAll(strings.TrimPrefix(n.Value, "+"), "_", ""), 64); err == nil {
			return f, nil
		}
		return nil, fmt.Errorf("the number %q is written in a form that is not read", n.Value)
	case tagStr, tagTime:
		return n.Value, nil
	}
	return nil, fmt.Errorf("%q cannot be read", n.Value)
}

// yamlTime is the form of every time that is written: UTC, six digits or none.
func yamlTime(t time.Time) string {
	t = t.UTC().Truncate(time.Microsecond)
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05Z")
	}
	return t.Format("2006-01-02T15:04:05.000000Z")
}
