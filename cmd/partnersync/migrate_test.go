package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

func TestConfirmed_onlyByYes(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"yes\n": true, " YES\r\n": true, "yes": true, "y\n": false,
		"no\nyes\n": false, "\n": false, "": false} {
		var out bytes.Buffer
		a := &app{stdin: strings.NewReader(answer), stderr: &out}
		if got := a.confirmed(t.Context(), "This is a test"); got != want {
			t.Errorf("%q: got %v", answer, got)
		}
		if out.String() != "This is a test.\nGo on? [yes/no] \n" {
			t.Errorf("%q: asked %q", answer, out.String())
		}
	}
}

func TestConfirmed_endsWithTheContextWhileNobodyAnswers(t *testing.T) {
	t.Parallel()
	silent, keyboard := io.Pipe()
	t.Cleanup(func() { keyboard.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := &app{stdin: silent, stderr: io.Discard}
	if a.confirmed(ctx, "This is a test") {
		t.Error("taken for a yes")
	}
}
