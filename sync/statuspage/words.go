package statuspage

import (
	"fmt"
	"strings"

	"partnersync/store/plural"
)

// statusClass is the class, and so the colour, that a status has in the style sheet.
func statusClass(status string) string {
	switch word := strings.ReplaceAll(strings.ToLower(status), "-", "_"); word {
	case "queued", "processing", "finished":
		return word
	case "in_progress": // as Microsoft's documentation of device statuses has it
		return "processing"
	case "finished_with_errors":
		return "errors"
	case gone:
		return "gone"
	}
	return "other"
}

// gone is shown as the status of a batch while it is not listed.
const gone = "gone"

// statusWord is a status as it is shown: as it was received, or that there was none.
func statusWord(status *string) string {
	if status == nil || *status == "" {
		return "no status"
	}
	return *status
}

// text is a value that may be missing.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// orID is a name, or the id where there is none.
func orID(name *string, id string) string {
	if name == nil || strings.TrimSpace(*name) == "" {
		return id
	}
	return *name
}

// batchName is a batch's id as people can tell it from another: spaces around it would not show without quotes.
func batchName(id string) string {
	switch trimmed := strings.TrimSpace(id); trimmed {
	case id:
		return id
	case "":
		return "“" + id + "” (only spaces)"
	}
	return "“" + id + "”"
}

// count is a number with its thousands apart.
func count(n int64) string {
	digits := fmt.Sprint(n)
	sign := ""
	if n < 0 {
		sign, digits = "−", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:] // narrow no-break space
	}
	return sign + digits
}

// countAny is count for templates, which also have ints.
func countAny(n any) string {
	if n, ok := n.(int); ok {
		return count(int64(n))
	}
	return count(n.(int64))
}

// counted is a number of things, as count writes it.
func counted(n int, one, many string) string {
	return count(int64(n)) + " " + plural.Word(n, one, many)
}

// list joins words as a sentence does.
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
