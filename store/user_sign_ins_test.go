package store

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lease leases the token of contoso's user.
func (w *world) lease() TokenLease {
	w.t.Helper()
	l, err := w.LeaseToken(w.t.Context(), "contoso", time.Minute)
	w.ok(err)
	return l
}

func TestLeaseToken_oneWorkerAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.another()
	if _, err := w.LeaseToken(t.Context(), "contoso", time.Minute); !errors.Is(err, ErrNobodySigned) {
		t.Errorf("before a sign-in: %v", err)
	}
	w.ok(w.SignIn(t.Context(), "contoso", "admin@contoso.example", []byte("one")))
	first := w.lease()
	if diff := cmp.Diff([][]byte{[]byte("one")}, first.Tokens); diff != "" || first.UserName != "admin@contoso.example" {
		t.Errorf("lease %+v (-want +got):\n%s", first, diff)
	}
	for _, worker := range []*world{w, other} {
		if _, err := worker.LeaseToken(t.Context(), "contoso", time.Minute); !errors.Is(err, ErrTokenLeased) {
			t.Errorf("while it is leased: %v", err)
		}
	}
	w.ok(w.StoreToken(t.Context(), first, 0, []byte("two")))
	second := other.lease()
	if diff := cmp.Diff([][]byte{[]byte("two"), []byte("one")}, second.Tokens); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
	other.ok(other.ReleaseToken(t.Context(), second))
	// What was used is what is kept, whichever it was.
	third := w.lease()
	w.ok(w.StoreToken(t.Context(), third, 1, []byte("three")))
	w.want("three|one", "SELECT concat_ws('|', convert_from(sealed_token, 'UTF8'), convert_from(previous_token, 'UTF8')) FROM partnersync.user_sign_ins")
}

func TestLeaseToken_ofADeadWorkerIsTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok(w.SignIn(t.Context(), "contoso", "", []byte("one")))
	frozen := w.lease()
	w.exec("UPDATE partnersync.user_sign_ins SET leased_until = clock_timestamp() - interval '1 s'")
	other := w.another()
	taken := other.lease()
	// The one who wakes stores nothing, and does not end the lease of the other.
	if err := w.StoreToken(t.Context(), frozen, 0, []byte("late")); !errors.Is(err, ErrClaimLost) {
		t.Errorf("storing under a lost lease: %v", err)
	}
	if err := w.ReleaseToken(t.Context(), frozen); !errors.Is(err, ErrClaimLost) {
		t.Errorf("releasing a lost lease: %v", err)
	}
	other.ok(other.StoreToken(t.Context(), taken, 0, []byte("two")))
	w.want("two", "SELECT concat_ws('|', convert_from(sealed_token, 'UTF8')) FROM partnersync.user_sign_ins")
}

func TestSignIn_andOutEndALeaseUnderWay(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		act  func(*world)
		want string
	}{
		{"in", func(w *world) { w.ok(w.SignIn(t.Context(), "contoso", "new", []byte("new"))) }, "new|new||t"},
		{"out", func(w *world) {
			was, err := w.SignOut(t.Context(), "contoso")
			w.ok(err)
			if !was {
				w.t.Error("nobody was signed in")
			}
		}, "|||t"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.ok(w.SignIn(t.Context(), "contoso", "old", []byte("old")))
			l := w.lease()
			tt.act(w)
			if err := w.StoreToken(t.Context(), l, 0, []byte("late")); !errors.Is(err, ErrClaimLost) {
				t.Errorf("storing what came of the old token: %v", err)
			}
			w.want(tt.want, `SELECT concat_ws('|', coalesce(user_name, ''), coalesce(convert_from(sealed_token, 'UTF8'), ''),
				coalesce(convert_from(previous_token, 'UTF8'), ''), leased_until IS NULL) FROM partnersync.user_sign_ins`)
		})
	}
}

func TestUserSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, ok, err := w.UserSignIn(t.Context(), "contoso"); ok || err != nil {
		t.Errorf("before: %v, %v", ok, err)
	}
	w.ok(w.SignIn(t.Context(), "contoso", "admin", []byte("one")))
	w.exec("UPDATE partnersync.user_sign_ins SET rotated_at = rotated_at - interval '80 days', signed_in_at = signed_in_at - interval '100 days'")
	u, ok, err := w.UserSignIn(t.Context(), "contoso")
	w.ok(err)
	idle, old := u.Now.Sub(u.RotatedAt).Round(time.Hour), u.Now.Sub(u.SignedInAt).Round(time.Hour)
	if !ok || u.UserName != "admin" || idle != 80*24*time.Hour || old != 100*24*time.Hour {
		t.Errorf("%+v: idle %v, %v old", u, idle, old)
	}
	w.ok(w.StoreToken(t.Context(), w.lease(), 0, []byte("two")))
	if u, _, _ = w.UserSignIn(t.Context(), "contoso"); u.Now.Sub(u.RotatedAt) > time.Hour || u.Now.Sub(u.SignedInAt) < 99*24*time.Hour {
		t.Errorf("after an exchange: %+v", u)
	}
	if was, err := w.SignOut(t.Context(), "fabrikam"); was || err != nil {
		t.Errorf("signing nobody out: %v, %v", was, err)
	}
}

func TestRoles_writerUsesSignInsAndAnalystSeesNothing(t *testing.T) {
	t.Parallel()
	r := orders[1].open(t)
	w := worldOver(t, r.login("IN ROLE "+writer))
	w.ok(w.SignIn(t.Context(), "contoso", "admin", []byte("one")))
	w.ok(w.StoreToken(t.Context(), w.lease(), 0, []byte("two")))
	_, err := w.SignOut(t.Context(), "contoso")
	w.ok(err)
	r.refused(r.connect(r.login("IN ROLE "+analyst)), []string{"partnersync.user_sign_ins"}, "SELECT 1 FROM %s")
}

func TestUserSignIn_withoutPreparedStatements(t *testing.T) {
	t.Parallel()
	w := execWorld(t)
	sealed := []byte("age\x00\xff'\\")
	w.ok(w.SignIn(t.Context(), "contoso", "admin", sealed))
	w.ok(w.StoreToken(t.Context(), w.lease(), 0, []byte{0, 1}))
	l := w.lease()
	if diff := cmp.Diff([][]byte{{0, 1}, sealed}, l.Tokens); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
	w.ok(w.ReleaseToken(t.Context(), l))
	if _, ok, err := w.UserSignIn(t.Context(), "contoso"); !ok || err != nil {
		t.Errorf("signed in: %v, %v", ok, err)
	}
	_, err := w.SignOut(t.Context(), "contoso")
	w.ok(err)
	w.wantNothingPrepared()
}
