package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// document is a configuration file that is being read. It gathers all mistakes, so that they are reported at once.
type document struct {
	path      string
	lookupEnv func(string) (string, bool)
	mistakes  []remark
	warnings  []remark
}

// place is where in the file something is. Line and column count from 1; line 0 is not in the file.
type place struct {
	line, column int
	key          string
}

// remark is a mistake or a warning.
type remark struct {
	place
	text string // what is wrong; the fix
}

func (d *document) mistake(p place, format string, args ...any) {
	d.mistakes = append(d.mistakes, remark{p, fmt.Sprintf(format, args...)})
}

func (d *document) warn(p place, format string, args ...any) {
	d.warnings = append(d.warnings, remark{p, fmt.Sprintf(format, args...)})
}

// lines returns the remarks as file:line:column: key: text, in the order of the file.
func (d *document) lines(remarks []remark) []string {
	slices.SortStableFunc(remarks, func(a, b remark) int {
		return slices.Compare([]int{a.line, a.column}, []int{b.line, b.column})
	})
	var lines []string
	for _, r := range remarks {
		var line strings.Builder
		if r.line > 0 {
			fmt.Fprintf(&line, "%s:%d:%d: ", d.path, r.line, r.column)
		}
		if r.key != "" {
			line.WriteString(r.key + ": ")
		}
		lines = append(lines, line.String()+r.text)
	}
	return lines
}

// parse returns the top level of the file. Where it is not to be had, the reason is among the mistakes.
func (d *document) parse(data []byte) (top *section, ok bool) {
	start := place{line: 1, column: 1}
	if wrong := wrongEncoding(data); wrong != "" {
		d.mistake(start, "%s", wrong)
		return nil, false
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	// Keys that are there twice are reported by section, along with all else.
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntaxError(err)
		return nil, false
	}
	root, ok := d.onlyDocument(file)
	if !ok {
		return nil, false
	}
	entries, ok := mapping(root)
	if !ok {
		d.mistake(start, "the file is no mapping; write keys and values, such as deploy/partnersync.yaml has")
		return nil, false
	}
	return d.section(entries, start), true
}

func wrongEncoding(data []byte) string {
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return "the file is in UTF-16; save it as UTF-8"
	case !utf8.Valid(data):
		return "the file is not in UTF-8; save it as UTF-8"
	}
	return ""
}

func (d *document) onlyDocument(file *ast.File) (ast.Node, bool) {
	for _, doc := range file.Docs {
		if directive, ok := doc.Body.(*ast.DirectiveNode); ok {
			d.mistake(placeOf(directive, ""), "YAML directives are not read; remove the line that begins with %%")
			return nil, false
		}
	}
	switch {
	case len(file.Docs) > 1:
		at := place{line: 1, column: 1}
		if start := file.Docs[1].Start; start != nil {
			at.line, at.column = start.Position.Line, start.Position.Column
		}
		d.mistake(at, "the file holds more than one YAML document; keep one, without lines of ---")
		return nil, false
	case len(file.Docs) == 0, file.Docs[0].Body == nil:
		d.mistake(place{line: 1, column: 1}, "the file is empty; begin with a copy of deploy/partnersync.yaml")
		return nil, false
	}
	return file.Docs[0].Body, true
}

// syntaxError reports what the parser says, but for its excerpt of the file, which may hold a secret. So may what it
// quotes.
func (d *document) syntaxError(err error) {
	at, reason := place{line: 1, column: 1}, "this is no YAML"
	var positioned yaml.Error
	if errors.As(err, &positioned) {
		position := positioned.GetToken().Position
		at.line, at.column = position.Line, position.Column
		if message := positioned.GetMessage(); !strings.Contains(message, `"`) {
			reason = message
		}
	}
	d.mistake(at, "%s; indent with spaces, and quote values that begin with a sign or hold a colon or #", reason)
}

// placeOf returns where a node begins.
func placeOf(node ast.Node, key string) place {
	position := node.GetToken().Position
	return place{line: position.Line, column: position.Column, key: key}
}
