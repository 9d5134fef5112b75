package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"partnersync/cmd/partnersync/config"
	"partnersync/store/sanitize"
)

// healthTimeout is how long the daemon may take to say how it is: /readyz asks its database for up to 5 s.
const healthTimeout = 8 * time.Second

// newHealthCommand asks a running daemon how it is, for what watches over it and has no program of its own for that, as
// is so in a container with nothing but partnersync.
func newHealthCommand(a *app) *cobra.Command {
	var ready bool
	cmd := &cobra.Command{
		Use:     "health [HOST:PORT]",
		Short:   "Ask the daemon at the address, or else at the configuration's listen, whether it is alive",
		Example: "  partnersync health\n  partnersync health --ready 127.0.0.1:9470",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			address, err := a.listenAddress(args)
			if err != nil {
				return err
			}
			path := "/healthz"
			if ready {
				path = "/readyz"
			}
			return fails(exitFailed, askHealth(cmd.Context(), a.stdout, "http://"+address+path))
		},
	}
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether its passes go on, too")
	return cmd
}

// listenAddress returns where the daemon can be asked: the argument, or where the configuration has it listen.
func (a *app) listenAddress(args []string) (string, error) {
	if len(args) > 0 {
		if _, _, err := net.SplitHostPort(args[0]); err != nil {
			return "", fails(exitUsage, fmt.Errorf("%q is not host:port; write one such as 127.0.0.1:9470", args[0]))
		}
		return reachable(args[0]), nil
	}
	c, err := a.loadConfig(slog.New(slog.DiscardHandler), config.NeedsListen) // its warnings are in the daemon's log
	if err != nil {
		return "", err
	}
	if c.Listen == "" {
		return "", fails(exitUsage, errors.New(`the daemon listens nowhere: listen is "" in the configuration`))
	}
	return reachable(c.Listen), nil
}

// reachable turns an address to listen on, of which the host may stand for every one of this machine, into one to ask.
func reachable(address string) string {
	host, port, _ := net.SplitHostPort(address) // it was checked
	switch ip := net.ParseIP(host); {
	case host == "" || ip.Equal(net.IPv4zero):
		host = "127.0.0.1"
	case ip.Equal(net.IPv6unspecified):
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

// askHealth prints the answer to a GET of the URL. Anything but 200 OK is an error.
func askHealth(ctx context.Context, out io.Writer, url string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("asking the daemon: %w", err)
	}
	// Its own transport: a proxy from the environment is for the API.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("asking the daemon: %w; check that it runs and listens there", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("asking the daemon: GET %s: %w", url, err)
	}
	answer := strings.TrimSpace(string(body))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the daemon is not well: GET %s: %s: %s", url, resp.Status, answer)
	}
	_, err = fmt.Fprintln(out, sanitize.ForTerminal(answer))
	return err
}
