package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"partnersync/store/sanitize"
)

// orEmpty is the text, or "" if there is none.
func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// printJSON prints a value as an indented JSON document. Unprintable characters are escaped: a terminal does not obey
// them, and a program gets the text unchanged.
func printJSON(out io.Writer, value any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(value)
	if err == nil {
		_, err = out.Write(sanitize.JSON(text.Bytes()))
	}
	if err != nil {
		return fmt.Errorf("printing the result: %w", err)
	}
	return nil
}

// palette colours text, or leaves it as it is.
type palette bool

// palette returns colours for a terminal that can show them, unless NO_COLOR is set (no-color.org), and none for
// anything else.
func (a *app) palette(stream any) palette {
	none, _ := a.lookupEnv("NO_COLOR")
	kind, _ := a.lookupEnv("TERM")
	return palette(onTerminal(stream) && none == "" && kind != "dumb")
}

func (p palette) red(s string) string    { return p.paint("31", s) }
func (p palette) green(s string) string  { return p.paint("32", s) }
func (p palette) yellow(s string) string { return p.paint("33", s) }

func (p palette) paint(code, s string) string {
	if !p || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
