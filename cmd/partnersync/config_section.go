package main

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"partnersync/store/cron"
)

// section is a mapping of the file. Its methods read one key each; finish reports the keys that none of them asked
// for. Where a value is absent or wrong, they return what it otherwise is.
type section struct {
	doc     *document
	at      place
	entries map[string]entry
	asked   []string
}

// entry is a key and its value.
type entry struct {
	place
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

func (d *document) section(entries []*ast.MappingValueNode, at place) *section {
	s := &section{doc: d, at: at, entries: map[string]entry{}}
	for _, e := range entries {
		name := e.Key.GetToken().Value
		if _, plain := e.Key.(ast.ScalarNode); !plain || !plainKey.MatchString(name) {
			d.mistake(placeOf(e.Key, ""), "this is no key; write a plain word, a colon and a space (no anchors, no <<)")
			continue
		}
		at := placeOf(e.Key, name)
		if first, twice := s.entries[name]; twice {
			d.mistake(at, "is here a second time, after line %d; keep one of the two", first.line)
			continue
		}
		s.entries[name] = entry{at, e.Value}
	}
	return s
}

// plainKey is what an unknown key must look like to be shown: other things may be a secret on a line gone wrong.
var plainKey = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)

// has reports whether the section has the key, be its value right or wrong.
func (s *section) has(key string) bool {
	s.asked = append(s.asked, key)
	_, ok := s.entries[key]
	return ok
}

func (s *section) missing(key, fix string) {
	at := s.at
	at.key = key
	s.doc.mistake(at, "is missing; %s", fix)
}

// finish reports the keys that nobody asked for.
func (s *section) finish() {
	slices.Sort(s.asked)
	s.asked = slices.Compact(s.asked)
	for name, e := range s.entries {
		if slices.Contains(s.asked, name) {
			continue
		}
		if near := nearest(name, s.asked); near != "" {
			s.doc.mistake(e.place, "is no key known here; write %s", near)
		} else {
			s.doc.mistake(e.place, "is no key known here; known are %s", strings.Join(s.asked, ", "))
		}
	}
}

// nearest returns the known key that a wrong one was probably meant to be, or "".
func nearest(wrong string, known []string) string {
	best := slices.MinFunc(known, func(a, b string) int {
		return cmp.Compare(editDistance(wrong, a), editDistance(wrong, b))
	})
	if editDistance(wrong, best) > len(best)/3 {
		return ""
	}
	return best
}

// editDistance counts the bytes to insert, remove or replace that make b of a, case and - for _ apart.
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
	place
	doc  *document
	raw  string // as the file has it, which may be shown unless the key's values are secret
	text string // with ${NAME} replaced
}

// String returns the value as it may be shown.
func (v scalar) String() string { return strconv.Quote(v.raw) }

func (v scalar) wrong(format string, args ...any) { v.doc.mistake(v.place, format, args...) }

func (v scalar) warn(format string, args ...any) { v.doc.warn(v.place, format, args...) }

// scalar returns a key's value. It is not ok if the key is absent, or its value a mistake, which it reports.
func (s *section) scalar(key string) (v scalar, ok bool) {
	if !s.has(key) {
		return scalar{}, false
	}
	return s.doc.scalar(s.entries[key])
}

func (d *document) scalar(e entry) (v scalar, ok bool) {
	v = scalar{place: placeOf(e.node, e.key), doc: d}
	switch node := e.node.(type) {
	case *ast.NullNode:
		v.wrong("has no value; write one, or remove the line")
		return v, false
	case *ast.LiteralNode:
		v.raw = node.Value.Value
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		v.raw = node.GetToken().Value
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		v.wrong("YAML anchors, aliases and tags are not read; write the value itself, quoted if it begins with a sign")
		return v, false
	default:
		v.place = e.place
		v.wrong("is a list or a mapping; write a single value")
		return v, false
	}
	var err error
	if v.text, err = expand(v.raw, d.lookupEnv); err != nil {
		v.wrong("%v", err)
	}
	return v, err == nil
}

// list returns the items of a key's list, each with the list's key and its own place. It is not ok if the key is absent
// or no list, which it reports.
func (s *section) list(key string) (items []entry, ok bool) {
	if !s.has(key) {
		return nil, false
	}
	e := s.entries[key]
	list, ok := e.node.(*ast.SequenceNode)
	if !ok {
		s.doc.mistake(e.place, `is no list; write one item a line, each after "- "`)
		return nil, false
	}
	for _, node := range list.Values {
		items = append(items, entry{placeOf(node, key), node})
	}
	return items, true
}

// text reads text that is not empty.
func (s *section) text(key, otherwise string) string {
	v, ok := s.scalar(key)
	switch {
	case !ok:
		return otherwise
	case strings.TrimSpace(v.text) == "":
		v.wrong("is empty; write a value")
	}
	return v.text
}

// required reads text that must be there.
func (s *section) required(key, fix string) string {
	if !s.has(key) {
		s.missing(key, fix)
	}
	return s.text(key, "")
}

func (s *section) flag(key string, otherwise bool) bool {
	v, ok := s.scalar(key)
	if !ok {
		return otherwise
	}
	switch strings.ToLower(v.text) {
	case "true":
		return true
	case "false":
		return false
	}
	v.wrong("%s is neither; write true or false", v)
	return otherwise
}

// number reads a whole number in [least, most].
func (s *section) number(key string, otherwise, least, most int) int {
	v, ok := s.scalar(key)
	if !ok {
		return otherwise
	}
	n, err := strconv.Atoi(v.text)
	if err != nil || n < least || n > most {
		v.wrong("%s is no number from %d to %d; write one such as %d", v, least, most, otherwise)
	}
	return n
}

// duration reads a duration of at least so much.
func (s *section) duration(key string, otherwise, least time.Duration) time.Duration {
	v, ok := s.scalar(key)
	if !ok {
		return otherwise
	}
	d, err := cron.ParseDuration(v.text)
	switch {
	case err != nil:
		v.wrong("%s is no duration; write one such as 90s, 15m, 24h or 7d", v)
	case d < least:
		v.wrong("%s is too short; write at least %v", v, least)
	}
	return d
}
