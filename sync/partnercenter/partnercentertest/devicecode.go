package partnercentertest

import (
	"crypto/rand"
	"encoding/json"
	"html"
	"net/http"
	"strings"
	"time"
)

// deviceLife is how long a code may be entered, by real time.
const deviceLife = 15 * time.Minute

// deviceSignIn is a sign-in by device code that is under way.
type deviceSignIn struct {
	userCode string
	end      time.Time
	polled   time.Time // the last time
	offline  bool      // a refresh token was requested
	user     *user     // nil: nobody has signed in yet
	declined bool
}

// EnterCode signs in a user, who enters the code that a device shows, and reports whether there is such a code.
func (e *Emulator) EnterCode(code, userName string, mfa bool) bool {
	return e.updateDeviceSignIn(code, func(d *deviceSignIn) { d.user = &user{name: userName, mfa: mfa} })
}

// DeclineCode declines the sign-in of the device that shows the code, and reports whether there is such a code.
func (e *Emulator) DeclineCode(code string) bool {
	return e.updateDeviceSignIn(code, func(d *deviceSignIn) { d.declined = true })
}

func (e *Emulator) updateDeviceSignIn(code string, set func(*deviceSignIn)) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, d := range e.devices {
		if strings.EqualFold(d.userCode, strings.TrimSpace(code)) && time.Now().Before(d.end) {
			set(d)
			return true
		}
	}
	return false
}

// deviceCode starts a sign-in by device code.
func (e *Emulator) deviceCode(r *http.Request, q *query) answer {
	d := &deviceSignIn{userCode: rand.Text()[:9], end: time.Now().Add(deviceLife), offline: q.openID["offline_access"]}
	code := rand.Text() + rand.Text()
	e.mu.Lock()
	e.devices[code] = d
	e.mu.Unlock()
	page := "http://" + r.Host + "/devicelogin"
	if r.TLS != nil {
		page = "https://" + r.Host + "/devicelogin"
	}
	body, _ := json.Marshal(map[string]any{ // strings and numbers
		"user_code": d.userCode, "device_code": code, "verification_uri": page,
		"expires_in": int(deviceLife.Seconds()), "interval": int(e.opts.DeviceInterval.Seconds()),
		"message": "To sign in, use a web browser to open the page " + page + " and enter the code " + d.userCode +
			" to authenticate.",
	})
	return entraAnswer(http.StatusOK, body)
}

// grantDevice issues a token to a device whose user has signed in.
func (e *Emulator) grantDevice(q *query) (answer, *refusal) {
	if refused := e.authenticate(q, false); refused != nil {
		return answer{}, refused
	}
	d, refused := e.poll(q.r.PostFormValue("device_code"))
	if refused != nil {
		return answer{}, refused
	}
	refresh := ""
	if d.offline {
		refresh = e.newRefreshToken(&refreshToken{signIn: &signIn{user: d.user}})
	}
	return e.tokenAnswer(q, d.user, refresh), nil
}

// poll returns a sign-in that the user has completed, and forgets it.
func (e *Emulator) poll(code string) (*deviceSignIn, *refusal) {
	deny := func(code, description string) (*deviceSignIn, *refusal) {
		return nil, refuse(http.StatusBadRequest, code, "%s", description)
	}
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.devices[code]
	if d == nil {
		return deny("bad_verification_code", "AADSTS70018: Error validating the device code.")
	}
	early := now.Sub(d.polled) < e.opts.DeviceInterval*9/10
	d.polled = now
	switch {
	case !now.Before(d.end):
		return deny("expired_token", "AADSTS70020: The provided value for the input parameter 'device_code' is not valid. "+
			"This device code has expired.")
	case d.declined:
		return deny("authorization_declined", "AADSTS70018: Authorization is declined by the user.")
	case early:
		return deny("slow_down", "AADSTS70016: The device polls too often.")
	case d.user == nil:
		return deny("authorization_pending",
			"AADSTS70016: OAuth 2.0 device flow error. Authorization is pending. Continue polling.")
	}
	delete(e.devices, code)
	return d, nil
}

// deviceLogin answers with the page on which users enter the code, for people who try out the emulator.
func (e *Emulator) deviceLogin(r *http.Request) answer {
	result := ""
	if r.Method == http.MethodPost {
		result = "<p>There is no such code."
		if name := r.PostFormValue("user"); e.EnterCode(r.PostFormValue("code"), name, true) {
			result = "<p>" + html.EscapeString(name) + " has signed in on the other device."
		}
	}
	page := `<!doctype html><title>Sign in</title>` + result + `<form method="post"><p>Code <input name="code" autofocus>
<p>User <input name="user" value="admin@contoso.example"><p><button>Sign in</button></form>`
	header := http.Header{"Content-Type": {"text/html; charset=utf-8"}}
	return answer{status: http.StatusOK, header: header, body: []byte(page)}
}
