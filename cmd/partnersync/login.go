package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"partnersync/cmd/partnersync/config"
	"partnersync/store"
	"partnersync/store/sanitize"
	"partnersync/sync"
	"partnersync/sync/partnercenter"
)

// loginFlags are the flags of login and logout.
type loginFlags struct {
	partner     string
	newKey      bool
	refreshFile string
}

func newLoginCommand(a *app) *cobra.Command {
	var f loginFlags
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Sign a user in for a partner with app_user: true",
		Long: `Login shows a code and where to enter it, with any browser on any machine, and waits until a user of
the partner has signed in there, with multi-factor authentication. It keeps the refresh token in the
database, sealed with the key in token_key_file, which must be there: --new-key makes it, once for
all partners and replicas.`,
		Example: `  partnersync login --new-key
  partnersync login --partner contoso
  partnersync login --partner contoso --refresh-token-file token.txt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.login(cmd.Context(), f) },
	}
	cmd.Flags().StringVar(&f.partner, "partner", "", "the partner to sign a user in for (optional if there is one)")
	cmd.Flags().BoolVar(&f.newKey, "new-key", false, "make the key in token_key_file, which must not be there yet")
	cmd.Flags().StringVar(&f.refreshFile, "refresh-token-file", "",
		"take the refresh token in this file (-: standard input) instead of signing in")
	return cmd
}

func newLogoutCommand(a *app) *cobra.Command {
	var f loginFlags
	cmd := &cobra.Command{
		Use:   "logout",
		Short: "Forget the user who has signed in for a partner",
		Long: `Logout removes the partner's refresh token from the database. At the authority it stays valid until
it expires or is revoked there. A running daemon keeps using the access token that it has, for up to
an hour: restart it to end that at once.`,
		Example: "  partnersync logout --partner contoso",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.logout(cmd.Context(), f) },
	}
	cmd.Flags().StringVar(&f.partner, "partner", "", "the partner whose user to forget (optional if there is one)")
	return cmd
}

// login makes a key, or signs a user in, or both.
func (a *app) login(ctx context.Context, f loginFlags) error {
	c, log, err := a.configuration(nil)
	if err != nil {
		return err
	}
	if f.newKey {
		if err := sync.NewTokenKey(c.TokenKeyFile); err != nil {
			return fails(exitFailed, err)
		}
		path, err := filepath.Abs(c.TokenKeyFile)
		if err != nil {
			return fails(exitFailed, err)
		}
		fmt.Fprintf(a.stdout, "made the token key %s: "+
			"give it to every replica, and keep it apart from the database's backups\n", path)
		if f.partner == "" && f.refreshFile == "" {
			return nil
		}
	}
	return withUserPartner(ctx, c, f.partner, log, func(pc config.Partner, s *store.Store) error {
		users, err := userTokens(c, pc, s)
		if err != nil {
			return fails(exitUsage, err)
		}
		in, err := a.signIn(ctx, pc, f.refreshFile, log)
		switch {
		case err != nil && ctx.Err() != nil:
			return errInterrupted
		case err != nil:
			return err
		}
		if err := users.SignIn(ctx, in); err != nil {
			return err
		}
		a.greet(pc, in)
		return nil
	})
}

func (a *app) logout(ctx context.Context, f loginFlags) error {
	c, log, err := a.configuration(nil)
	if err != nil {
		return err
	}
	return withUserPartner(ctx, c, f.partner, log, func(pc config.Partner, s *store.Store) error {
		was, err := s.SignOut(ctx, pc.Name)
		switch {
		case err != nil:
			return err
		case was:
			fmt.Fprintf(a.stdout, "the user of partner %s is signed out; "+
				"a daemon that runs may use its access token for up to an hour more\n", pc.Name)
		default:
			fmt.Fprintf(a.stdout, "nothing to do: no user was signed in for partner %s\n", pc.Name)
		}
		return nil
	})
}

// withUserPartner runs do with the partner of that name, which must read on behalf of a user, and the database.
func withUserPartner(
	ctx context.Context, c *config.Config, name string, log *slog.Logger, do func(config.Partner, *store.Store) error,
) error {
	pc, err := userPartner(c, name)
	if err != nil {
		return fails(exitUsage, err)
	}
	logDatabase(c.Database, log)
	return useDatabase(ctx, c, log, func(ctx context.Context, db *database) error {
		if err := db.prepare(ctx); err != nil {
			return err
		}
		return do(pc, db.newStore())
	})
}

// userPartner returns the partner of that name, or the only one if it is "".
func userPartner(c *config.Config, name string) (config.Partner, error) {
	if name == "" && len(c.Partners) > 1 {
		return config.Partner{}, errors.New("there is more than one partner: say which by --partner")
	}
	i := slices.IndexFunc(c.Partners, func(p config.Partner) bool { return name == "" || p.Name == name })
	switch {
	case i < 0:
		return config.Partner{}, fmt.Errorf("--partner %q: %w", name, sync.ErrUnknownPartner)
	case !c.Partners[i].AppUser:
		return config.Partner{}, fmt.Errorf("partner %s signs in as an application alone, without a user: "+
			"app_user: true in its configuration changes that", c.Partners[i].Name)
	}
	return c.Partners[i], nil
}

// signIn lets a user sign in with a browser, or takes the refresh token in the file, if one is given.
func (a *app) signIn(
	ctx context.Context, pc config.Partner, refreshFile string, log *slog.Logger,
) (partnercenter.SignedIn, error) {
	cred, opts := pc.Credentials(), partnercenter.TokenOptions{Version: version(), Logger: log.With("partner", pc.Name)}
	if refreshFile != "" {
		refresh, err := a.readRefreshToken(refreshFile)
		if err != nil {
			return partnercenter.SignedIn{}, fails(exitUsage, err)
		}
		return partnercenter.Redeem(ctx, cred, opts, refresh)
	}
	waiting, err := partnercenter.StartLogin(ctx, cred, opts)
	if err != nil {
		return partnercenter.SignedIn{}, err
	}
	fmt.Fprintf(a.stdout, "Open %s in a browser, on any machine, and enter the code %s\n",
		sanitize.Line(waiting.URL), sanitize.Line(waiting.Code))
	until := ""
	if !waiting.Expires.IsZero() {
		until = " until " + waiting.Expires.Local().Format(time.TimeOnly)
	}
	fmt.Fprintf(a.stdout, "as a user of partner %s who is an admin agent or a sales agent. Waiting%s …\n",
		pc.Name, until)
	return waiting.Wait(ctx)
}

// readRefreshToken reads a file, or with - standard input, that holds a refresh token and nothing else.
func (a *app) readRefreshToken(path string) (partnercenter.Secret, error) {
	var text string
	var err error
	if path == "-" {
		text, err = partnercenter.ReadSecret(a.stdin)
	} else {
		text, err = partnercenter.ReadSecretFile(path)
	}
	if err != nil {
		return "", fmt.Errorf("--refresh-token-file %s: %w", path, err)
	}
	words := strings.Fields(text)
	if len(words) != 1 {
		return "", fmt.Errorf("--refresh-token-file %s: it does not hold one refresh token and nothing else", path)
	}
	return partnercenter.Secret(words[0]), nil
}

// greet says who has signed in, and warns if the API will not accept that.
func (a *app) greet(pc config.Partner, in partnercenter.SignedIn) {
	who := in.User
	if who == "" {
		who = "a user whom the authority does not name"
	}
	fmt.Fprintf(a.stdout, "%s has signed in for partner %s\n", sanitize.Line(who), pc.Name)
	if in.Claims.User != "" && !in.Claims.MFA {
		fmt.Fprintln(a.stderr, "warning: without multi-factor authentication, "+
			"which the API has asked of users since 2026: sign in again with it")
	}
}
