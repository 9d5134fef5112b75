package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// document is a configuration file that is being read. It collects all mistakes, so that they can be reported at once.
type document struct {
	Options
	path     string
	mistakes []diagnostic
	warnings []diagnostic
	// databaseChosen is whether the database is chosen already, so that the file's is not needed.
	databaseChosen bool
	// holdsSecret is whether a secret stands in the file itself.
	holdsSecret bool
}

// needed reports whether the value of a key is needed. Of one that is not, the form is checked all the same.
func (d *document) needed(key string) bool {
	if d.databaseChosen && (key == databaseKey || key == databaseFileKey) {
		return false
	}
	return d.Needs == nil || slices.Contains(d.Needs, key)
}

// position is a place in the file. Lines and columns count from 1; what is not from the file has line 0.
type position struct {
	line, column int
	key          string
}

// diagnostic is a mistake or a warning.
type diagnostic struct {
	position
	text string // what is wrong; the fix
}

func (d *document) mistake(p position, format string, args ...any) {
	d.mistakes = append(d.mistakes, diagnostic{p, fmt.Sprintf(format, args...)})
}

func (d *document) warn(p position, format string, args ...any) {
	d.warnings = append(d.warnings, diagnostic{p, fmt.Sprintf(format, args...)})
}

// err returns the mistakes as an *Error, or nil if there are none.
func (d *document) err() error {
	if len(d.mistakes) == 0 {
		return nil
	}
	return &Error{Mistakes: d.lines(d.mistakes)}
}

// lines returns the diagnostics as file:line:column: key: text, in the order of the file.
func (d *document) lines(diagnostics []diagnostic) []string {
	slices.SortStableFunc(diagnostics, func(a, b diagnostic) int {
		return slices.Compare([]int{a.line, a.column}, []int{b.line, b.column})
	})
	var lines []string
	for _, r := range diagnostics {
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

// parse returns the top level of the file. If there is none, the mistakes say why.
func (d *document) parse(text string) (top *section, ok bool) {
	start := position{line: 1, column: 1}
	if line := tooDeep(text); line > 0 {
		d.mistake(position{line: line, column: 1}, "lists or mappings are nested more than %d deep; "+
			"a configuration has a few levels, such as deploy/partnersync.yaml shows", maxDepth)
		return nil, false
	}
	// Duplicate keys are reported by section, along with the other mistakes.
	file, err := parser.ParseBytes([]byte(text), 0, parser.AllowDuplicateMapKey())
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
		d.mistake(start, "the file is not a mapping; write keys and values, such as deploy/partnersync.yaml has")
		return nil, false
	}
	return d.section(entries, start), true
}

const maxDepth = 100

// tooDeep returns the line in which more than maxDepth lists and mappings are open, 0 if there is none. The parser
// would take memory by the square of their number. Those that are nested by indentation alone are few: it has to grow
// with each.
func tooDeep(text string) int {
	brackets, line := 0, 0
	for content := range strings.Lines(text) {
		line++
		items := strings.Count(content, "- ") // each may begin a list within the one before
		if strings.HasPrefix(strings.TrimSpace(content), "#") {
			continue
		}
		for i := range len(content) {
			switch content[i] {
			case '[', '{':
				brackets++
			case ']', '}':
				brackets = max(brackets-1, 0)
			}
			if brackets+items > maxDepth {
				return line
			}
		}
	}
	return 0
}

func (d *document) onlyDocument(file *ast.File) (ast.Node, bool) {
	for _, doc := range file.Docs {
		if directive, ok := doc.Body.(*ast.DirectiveNode); ok {
			d.mistake(positionOf(directive, ""),
				"YAML directives are not supported; remove the line that begins with %%")
			return nil, false
		}
	}
	switch {
	case len(file.Docs) > 1:
		at := position{line: 1, column: 1}
		if start := file.Docs[1].Start; start != nil {
			at.line, at.column = start.Position.Line, start.Position.Column
		}
		d.mistake(at, "the file holds more than one YAML document; keep one, without lines of ---")
		return nil, false
	case len(file.Docs) == 0, file.Docs[0].Body == nil:
		d.mistake(position{line: 1, column: 1}, "the file is empty; begin with a copy of deploy/partnersync.yaml")
		return nil, false
	}
	return file.Docs[0].Body, true
}

// syntaxError reports the parser's message. Its excerpt of the file is left out, and so is a message with quotation
// marks: both may show a secret.
func (d *document) syntaxError(err error) {
	at, reason := position{line: 1, column: 1}, "this is not YAML"
	var syntaxErr yaml.Error
	if errors.As(err, &syntaxErr) {
		found := syntaxErr.GetToken().Position
		at.line, at.column = found.Line, found.Column
		if message := syntaxErr.GetMessage(); !strings.Contains(message, `"`) {
			reason = message
		}
	}
	d.mistake(at, "%s; indent with spaces, and quote values that begin with a sign or hold a colon or #", reason)
}

// positionOf returns where a node begins.
func positionOf(node ast.Node, key string) position {
	start := node.GetToken().Position
	return position{line: start.Line, column: start.Column, key: key}
}
