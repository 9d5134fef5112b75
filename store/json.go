package store

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// equalJSON reports whether two JSON texts stand for the same value, as jsonb has it: the order of members and white
// space do not matter, of equal names the last one counts, and numbers are equal as decimals.
func equalJSON(a, b string) bool {
	if a == b {
		return true
	}
	x, err := decodeJSON(a)
	if err != nil {
		return false
	}
	y, err := decodeJSON(b)
	return err == nil && equalValues(x, y)
}

func decodeJSON(text string) (value any, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	err = d.Decode(&value)
	return value, err
}

func equalValues(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equalValues)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equalValues)
	case json.Number:
		b, ok := b.(json.Number)
		return ok && (a == b || decimalOf(a) == decimalOf(b))
	}
	return a == b // strings, booleans and null
}

// decimal is a number as its digits, without zeros at either end, and the power of ten of the last one.
type decimal struct {
	negative bool
	digits   string // "" is zero
	exponent int
}

// decimalOf reads a number as JSON writes it, without the loss that a float would bring.
func decimalOf(n json.Number) (d decimal) {
	text, negative := strings.CutPrefix(string(n), "-")
	mantissa, exponent := text, ""
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa, exponent = text[:i], text[i+1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	significant := strings.TrimRight(digits, "0")
	if significant == "" {
		return decimal{}
	}
	power, _ := strconv.Atoi(cmp.Or(exponent, "0"))
	return decimal{negative, significant, power - len(fraction) + len(digits) - len(significant)}
}
