package config

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"partnersync/store/cron"
)

// section is a mapping of the file. Each of its methods reads one key and returns a fallback if the value is absent or
// wrong; finish reports the keys that no method asked for.
type section struct {
	doc     *document
	at      position
	entries map[string]entry
	known   []string // keys that a method has asked for
}

// entry is a key and its value.
type entry struct {
	position
	node ast.Node
}

// mapping returns a node's entries, if it is a mapping.
func mapping(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch node := node.(type) {
	case *ast.MappingNode:
		return node.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{node}, true
	}
	return nil, false
}

func (d *document) section(entries []*ast.MappingValueNode, at position) *section {
	s := &section{doc: d, at: at, entries: map[string]entry{}}
	for _, e := range entries {
		name := e.Key.GetToken().Value
		if _, plain := e.Key.(ast.ScalarNode); !plain || !plainKey.MatchString(name) {
			d.mistake(positionOf(e.Key, ""),
				"this is not a key; write a plain word, a colon and a space (no anchors, no <<)")
			continue
		}
		position := positionOf(e.Key, name)
		if first, twice := s.entries[name]; twice {
			d.mistake(position, "repeats line %d; keep one of the two", first.line)
			continue
		}
		s.entries[name] = entry{position, e.Value}
	}
	return s
}

// plainKey is what an unknown key must look like to be shown: anything else may be a secret on a mistyped line.
var plainKey = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)

// has reports whether the section has the key, whether or not its value is valid.
func (s *section) has(key string) bool {
	s.known = append(s.known, key)
	_, ok := s.entries[key]
	return ok
}

func (s *section) missing(key, fix string) {
	at := s.at
	at.key = key
	s.doc.mistake(at, "is missing; %s", fix)
}

// finish reports the keys that no method asked for.
func (s *section) finish() {
	slices.Sort(s.known)
	s.known = slices.Compact(s.known)
	for name, e := range s.entries {
		if slices.Contains(s.known, name) {
			continue
		}
		if near := nearest(name, s.known); near != "" {
			s.doc.mistake(e.position, "is not a known key; write %s", near)
		} else {
			s.doc.mistake(e.position, "is not a known key; known are %s", strings.Join(s.known, ", "))
		}
	}
}

// nearest returns the known key that was probably intended, or "".
func nearest(wrong string, known []string) string {
	best := slices.MinFunc(known, func(a, b string) int {
		return cmp.Compare(editDistance(wrong, a), editDistance(wrong, b))
	})
	if editDistance(wrong, best) > len(best)/3 {
		return ""
	}
	return best
}

// editDistance is the Levenshtein distance in bytes between a and b, taking upper for lower case and - for _.
func editDistance(a, b string) int {
	a = strings.ReplaceAll(strings.ToLower(a), "-", "_")
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// scalar is a single value of the file.
type scalar struct {
	position
	doc  *document
	raw  string // as written in the file; may be shown unless the key's values are secret
	text string // with ${NAME} replaced
}

// String returns the value as it may be shown.
func (v scalar) String() string { return strconv.Quote(v.raw) }

func (v scalar) wrong(format string, args ...any) { v.doc.mistake(v.position, format, args...) }

func (v scalar) warn(format string, args ...any) { v.doc.warn(v.position, format, args...) }

// scalar returns a key's value. It is not ok if the key is absent or its value is a mistake, which it reports; that a
// variable in it is not set is none where the value is not needed.
func (s *section) scalar(key string) (v scalar, ok bool) {
	if !s.has(key) {
		return scalar{}, false
	}
	return s.doc.scalar(s.entries[key])
}

func (d *document) scalar(e entry) (v scalar, ok bool) {
	v = scalar{position: positionOf(e.node, e.key), doc: d}
	switch node := e.node.(type) {
	case *ast.NullNode:
		v.wrong("has no value; write one, or remove the line")
		return v, false
	case *ast.LiteralNode:
		v.raw = node.Value.Value
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		v.raw = node.GetToken().Value
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		v.wrong("YAML anchors, aliases and tags are not supported; " +
			"write the value itself, quoted if it begins with a sign")
		return v, false
	default:
		v.position = e.position
		v.wrong("is a list or a mapping; write a single value")
		return v, false
	}
	var err error
	v.text, err = expand(v.raw, d.LookupEnv)
	if _, unset := errors.AsType[unsetError](err); err != nil && (!unset || d.needed(e.key)) {
		v.wrong("%v", err)
	}
	return v, err == nil
}

// list returns the items of a key's list, each with the list's key and its own position. It is not ok if the key is
// absent or is not a list, which it reports.
func (s *section) list(key string) (items []entry, ok bool) {
	if !s.has(key) {
		return nil, false
	}
	e := s.entries[key]
	list, ok := e.node.(*ast.SequenceNode)
	if !ok {
		s.doc.mistake(e.position, `is not a list; write one item a line, each after "- "`)
		return nil, false
	}
	for _, node := range list.Values {
		items = append(items, entry{positionOf(node, key), node})
	}
	return items, true
}

// sections returns the items of a key's list, each of which must be a mapping; example shows how to write one.
func (s *section) sections(key, example string) (sections []*section) {
	items, _ := s.list(key)
	for _, item := range items {
		entries, ok := mapping(item.node)
		if !ok {
			s.doc.mistake(item.position, "an item is keys and values; write %s and its other keys below", example)
			continue
		}
		if len(entries) > 0 {
			item.position = positionOf(entries[0].Key, key)
		}
		sections = append(sections, s.doc.section(entries, item.position))
	}
	return sections
}

// text reads text, which must not be empty.
func (s *section) text(key, fallback string) string {
	v, ok := s.scalar(key)
	switch {
	case !ok:
		return fallback
	case strings.TrimSpace(v.text) == "":
		v.wrong("is empty; write a value")
	}
	return v.text
}

func (s *section) boolean(key string, fallback bool) bool {
	v, ok := s.scalar(key)
	if !ok {
		return fallback
	}
	switch strings.ToLower(v.text) {
	case "true":
		return true
	case "false":
		return false
	}
	v.wrong("%s is neither true nor false; write one of them", v)
	return fallback
}

// number reads a whole number in [minimum, maximum].
func (s *section) number(key string, fallback, minimum, maximum int) int {
	v, ok := s.scalar(key)
	if !ok {
		return fallback
	}
	n, err := strconv.Atoi(v.text)
	if err != nil || n < minimum || n > maximum {
		v.wrong("%s is not a number from %d to %d; write one such as %d", v, minimum, maximum, fallback)
	}
	return n
}

// duration reads a duration of at least the minimum.
func (s *section) duration(key string, fallback, minimum time.Duration) time.Duration {
	v, ok := s.scalar(key)
	if !ok {
		return fallback
	}
	d, err := cron.ParseDuration(v.text)
	switch {
	case err != nil:
		v.wrong("%s is not a duration; write one such as 90s, 15m, 24h or 7d", v)
	case d < minimum:
		v.wrong("%s is too short; write at least %v", v, minimum)
	}
	return d
}
