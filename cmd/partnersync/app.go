package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"golang.org/x/term"

	"partnersync/cmd/partnersync/config"
	"partnersync/store"
	"partnersync/store/sanitize"
)

// app is one invocation of the program: its surroundings and its flags.
type app struct {
	lookupEnv      func(string) (string, bool)
	stdin          io.Reader
	stdout, stderr io.Writer
	transport      http.RoundTripper // of the partners' requests, for tests; nil: the network

	configPath  string
	databaseURL *string // nil: not given
	logLevel    string
	flags       syncFlags
}

// logger returns a logger that writes text to a terminal and JSON elsewhere. Neither passes on what a terminal would
// obey: text is quoted, and JSON is escaped since people look at it on a terminal too.
func (a *app) logger(out io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
		return nil, fails(exitUsage, fmt.Errorf("--log-level %q: write debug, info, warn or error", a.logLevel))
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: readable}
	if onTerminal(a.stderr) {
		return slog.New(slog.NewTextHandler(out, options)), nil
	}
	return slog.New(slog.NewJSONHandler(sanitize.JSONWriter(out), options)), nil
}

// readable writes durations as Go does, with their unit, in JSON too, and each error on one line.
func readable(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	if err, ok := a.Value.Any().(error); ok {
		a.Value = slog.StringValue(store.OneLine(err))
	}
	return a
}

// onTerminal reports whether the stream is a terminal.
func onTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// terminalHeight returns how many lines the terminal has, 24 if that is not known.
func terminalHeight(stream any) int {
	if f, ok := stream.(*os.File); ok {
		if _, height, err := term.GetSize(int(f.Fd())); err == nil && height > 0 {
			return height
		}
	}
	return 24
}

// options say where the configuration is; needs are the keys that the command needs, nil for all.
func (a *app) options(needs []string) config.Options {
	return config.Options{Path: a.configPath, DatabaseURL: a.databaseURL, LookupEnv: a.lookupEnv, Needs: needs}
}

// configuration loads as much of the configuration as is needed, and logs its warnings to the logger that it returns.
func (a *app) configuration(needs []string) (*config.Config, *slog.Logger, error) {
	log, err := a.logger(a.stderr)
	if err != nil {
		return nil, nil, err
	}
	c, err := a.loadConfig(log, needs)
	return c, log, err
}

// loadConfig is configuration with a logger of the caller's.
func (a *app) loadConfig(log *slog.Logger, needs []string) (*config.Config, error) {
	c, err := config.Load(a.options(needs))
	if err != nil {
		return nil, fails(exitUsage, fmt.Errorf("the configuration cannot be used:\n%w", err))
	}
	for _, w := range c.Warnings {
		log.Warn("configuration", "warning", w)
	}
	return c, nil
}

// inBackground runs do until the stop that it returns, which waits for its end. stop may be called twice.
func inBackground(ctx context.Context, do func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		do(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// confirmed asks, and reports whether the answer was yes. If ctx ends first, it was not.
func (a *app) confirmed(ctx context.Context, warning string) bool {
	fmt.Fprintf(a.stderr, "%s.\nGo on? [yes/no] ", warning)
	answers := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.stdin).ReadString('\n')
		answers <- line
	}()
	answer := ""
	select {
	case answer = <-answers:
	case <-ctx.Done():
	}
	if !strings.HasSuffix(answer, "\n") || !onTerminal(a.stdin) {
		fmt.Fprintln(a.stderr) // the question's line has not been ended by an answer
	}
	return strings.EqualFold(strings.TrimSpace(answer), "yes")
}
