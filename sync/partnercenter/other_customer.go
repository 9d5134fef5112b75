package partnercenter

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// ErrOtherCustomer is wrapped by the error of a listing whose links name another customer than the one asked for. Items
// that came before it may be the other customer's as well.
var ErrOtherCustomer = errors.New("the answer is another customer's")

// otherCustomer returns the error of an answer whose links name another customer than the one asked for.
func (o *operation) otherCustomer(asked, linked uuid.UUID) *Error {
	e := o.newError(codeOtherCustomer, "")
	e.Status = http.StatusOK
	e.Err = fmt.Errorf("%w: a link in it names customer %s, and customer %s was asked for", ErrOtherCustomer, linked, asked)
	e.Hint = hintOtherCustomer
	return e
}

// otherCustomer returns the first customer that a uri in links, which may be any JSON value, names instead of the one
// asked for; uuid.Nil if there is none, or if asked is uuid.Nil. Nearly every item has a link, and so they are searched
// rather than decoded: as quotes within a string are escaped, the bytes "uri" with their quotes are a string of their
// own.
func otherCustomer(links jsontext.Value, asked uuid.UUID) uuid.UUID {
	if asked == uuid.Nil {
		return uuid.Nil
	}
	_, rest, more := bytes.Cut(links, []byte(`"uri"`))
	for ; more; _, rest, more = bytes.Cut(rest, []byte(`"uri"`)) {
		value, isName := bytes.CutPrefix(bytes.TrimSpace(rest), []byte(":"))
		uri, isText := bytes.CutPrefix(bytes.TrimSpace(value), []byte(`"`))
		uri, _, _ = bytes.Cut(uri, []byte(`"`))
		if named := customerOf(uri); isName && isText && named != uuid.Nil && named != asked {
			return named
		}
	}
	return uuid.Nil
}

// customerOf returns the customer whose resources a uri leads to, such as /customers/{id}/deviceBatches: uuid.Nil if it
// names none, or not by a UUID. The names of batches, which may hold anything, come later in it.
func customerOf(uri []byte) uuid.UUID {
	path, _, _ := bytes.Cut(uri, []byte("?"))
	for idNext := false; len(path) > 0; {
		var segment []byte
		segment, path, _ = bytes.Cut(path, []byte("/"))
		segment = bytes.TrimSuffix(segment, []byte(`\`)) // JSON may have \/ for /
		if idNext {
			if id, err := uuid.ParseBytes(segment); err == nil {
				return id
			}
			break
		}
		idNext = bytes.EqualFold(segment, []byte("customers"))
	}
	return uuid.Nil
}
