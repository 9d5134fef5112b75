//go:build !unix

package localpg

import (
	"context"
	"errors"
)

// Unsupported says why this system has no private servers; "" if it has them.
const Unsupported = "not available on Windows: install PostgreSQL, and name its database by a URL"

func start(context.Context, Config) (*Server, error) { return nil, errors.New(Unsupported) }
