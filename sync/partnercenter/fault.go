package partnercenter

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// readFault reads an error's body in the shapes the API documentation shows: {code, description} from the API and
// {statusCode, message} from the gateway before it, whose statusCode is no code of its own. Any other body is its own
// description.
func readFault(body []byte) (code, description string) {
	var fault struct {
		Code        jsontext.Value `json:"code"`
		Description jsontext.Value `json:"description"`
		Message     jsontext.Value `json:"message"`
	}
	body = trimBOM(body)
	json.Unmarshal(body, &fault, lenient) // what was read before an error stands: a long body is cut short
	code = textOrNumber(fault.Code)
	if description = cmp.Or(textOrNumber(fault.Description), textOrNumber(fault.Message)); code+description == "" {
		return "", string(body)
	}
	return code, description
}

// textOrNumber returns a string or number as text; anything else is "".
func textOrNumber(value jsontext.Value) string {
	switch value.Kind() {
	case '"':
		text, _ := jsontext.AppendUnquote(nil, value)
		return string(text)
	case '0':
		return string(value)
	}
	return ""
}

var hintsByStatus = map[int]string{
	http.StatusUnauthorized: "the API does not accept the token: check that the application is registered " +
		"in Partner Center (App management) for this tenant and cloud",
	http.StatusForbidden: "the application may not read this: check its permissions " +
		"and the relationship with the customer; an indirect reseller may not use the API at all",
	http.StatusNotFound: "the API does not know this: check the customer id, and that the customer is this partner's",
	http.StatusTooManyRequests: "the API throttles this partner: " +
		"lower requests_per_minute, or let it run less often",
}

// hint returns what to do about an API error. The oldest MFA refusals name their number only in the text.
func hint(e *Error) string {
	if h, ok := hintsByCode[e.Code]; ok {
		return h
	}
	if e.Status == http.StatusUnauthorized {
		switch {
		case strings.Contains(e.Description, "MFA"):
			return hintMFA
		case strings.Contains(e.Description, "incorrect audience"): // the gateway's words
			return hintAudience
		}
	}
	return hintsByStatus[e.Status]
}
