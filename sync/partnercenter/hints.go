package partnercenter

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
)

// authorityHints say what to do about the authority's refusals, by the numbers of "Microsoft Entra authentication and
// authorization error codes", whoever signs in.
var authorityHints = map[string]string{
	"AADSTS7000215": "wrong client secret: use the secret's value, not its id",
	"AADSTS7000222": "the client secret has expired: make a new one",
	"AADSTS700016":  "unknown client_id in this tenant: check client_id, tenant_id and cloud",
	"AADSTS7000112": "the application is disabled in this tenant: enable it under Enterprise applications in Entra",
	"AADSTS90002":   hintUnknownTenant,
	"AADSTS900023":  hintUnknownTenant,
	"AADSTS65001":   hintConsent,
	"AADSTS90094":   hintConsent,
	"AADSTS500011":  hintResource,
	"AADSTS650052":  hintResource,
	"AADSTS70011":   hintResource,
	"AADSTS1002012": hintResource,
	"AADSTS7000216": "the application has not shown who it is: name its secret, certificate or federated token in " +
		"the configuration",
	"AADSTS7000229": "the application is registered but unknown in this tenant: an administrator of the tenant has " +
		"to consent to it",
	"AADSTS65002": "client_id is an application of Microsoft's own, which may not use this API: register one of yours",
	"AADSTS70002": hintClient,

	// Certificates and federated tokens.
	"AADSTS700027": "the authority does not know this certificate or key: register the certificate under " +
		"Certificates & secrets in Entra",
	"AADSTS700030": "the authority does not take this certificate: register one that is valid",
	"AADSTS700024": hintAssertionTime,
	"AADSTS500133": hintAssertionTime,
	"AADSTS700023": "the assertion is for another authority: check authority_url and cloud",
	"AADSTS700021": "the assertion is another application's: check client_id",
	"AADSTS50027":  "the assertion is no token that the authority can read: check what is in federated_token_file",
	"AADSTS70021":  hintFederation,
	"AADSTS700211": hintFederation,
	"AADSTS700212": hintFederation,
	"AADSTS700213": hintFederation,

	"AADSTS50196": "the authority saw too many equal requests: wait, and look for another program that signs in as " +
		"this application",

	// OAuth's own codes, for numbers that are not here and for answers without one.
	"invalid_client": hintClient,
	"invalid_scope":  hintResource,
}

// userHints are those for an application that signs in on behalf of a user; they go before the others.
var userHints = map[string]string{
	"AADSTS50105": "the user is not assigned to the application: assign it under Enterprise applications in Entra",
	"AADSTS7000218": "the application is a confidential one: name its secret's file in app_user_secret_file, or " +
		"allow public client flows in Entra",
	"AADSTS700025": "the application is a public one: take app_user_secret_file away",
	"AADSTS65004": "the user declined to consent: begin again with partnersync login, or have an administrator " +
		"grant it in Entra",
	"AADSTS50173":  hintLoginAgain,
	"AADSTS50132":  hintLoginAgain,
	"AADSTS50133":  hintLoginAgain,
	"AADSTS700082": "the sign-in was not used for 90 days and has ended: sign in again with partnersync login",
	"AADSTS70000":  hintLoginAgain,
	"AADSTS70008":  hintLoginAgain,
	"AADSTS70043":  "the sign-in has ended by the tenant's sign-in frequency: sign in again with partnersync login",
	"AADSTS50055":  "the user's password has expired: change it, and sign in again with partnersync login",
	"AADSTS50057":  "the user's account is disabled: enable it, or sign in as another user with partnersync login",
	"AADSTS50034":  hintOtherTenant,
	"AADSTS50020":  hintOtherTenant,
	"AADSTS90072":  hintOtherTenant,
	"AADSTS50074":  hintMFA,
	"AADSTS50076":  hintMFA,
	"AADSTS50079":  hintMFA,
	"AADSTS50072":  hintMFA,
	"AADSTS50078":  hintLoginMFA,
	"AADSTS50158":  hintLoginMFA,
	"AADSTS53000":  hintConditions,
	"AADSTS53001":  hintConditions,
	"AADSTS53003":  hintConditions,
	"AADSTS530036": "the tenant's conditional access forbids signing in by device code: import a refresh token " +
		"with partnersync login --refresh-token-file",
	"AADSTS70018": "the code is wrong or was declined: begin again with partnersync login",
	"AADSTS70020": "the code has expired before it was entered: begin again with partnersync login",

	"unauthorized_client": "the application may not sign in this way: check client_id, tenant_id and cloud, and that " +
		"public client flows are allowed",
	"invalid_grant":        "the authority does not take the refresh token: sign in again with partnersync login",
	"interaction_required": "the authority wants to see the user: sign in again with partnersync login",
}

// applicationHints are those for an application that signs in as itself, likewise.
var applicationHints = map[string]string{
	"AADSTS700025": "the application is registered as a public client, which cannot sign in as itself: " +
		"register it as a web application in Entra",
	"AADSTS53000": hintWorkload,
	"AADSTS53001": hintWorkload,
	"AADSTS53003": hintWorkload,

	"unauthorized_client": "the application may not sign in as itself: check client_id, tenant_id and cloud",
	"invalid_grant": "the authority does not take what the application signs in with: check client_id, tenant_id, and " +
		"its secret, certificate or federated token",
	"interaction_required": hintWorkload,
}

// authorityHint returns what to do about a refusal with the authority's own number and OAuth's code.
func authorityHint(asUser bool, number, code string) string {
	own := applicationHints
	if asUser {
		own = userHints
	}
	return cmp.Or(own[number], authorityHints[number], own[code], authorityHints[code])
}

const (
	hintClient = "the authority does not accept the client_id, or the client secret, certificate or token that " +
		"goes with it"
	hintConsent = "consent is missing: an administrator of the tenant has to grant it under API permissions in Entra"
	// The resource is the API of the cloud, whatever api_url says.
	hintResource = "the tenant knows no such API, or may not use it: check cloud, and the application's " +
		"permission for Microsoft Partner Center"
	hintAssertionTime = "the assertion is not valid now: check this machine's clock, and that federated_token_file " +
		"is renewed"
	hintFederation = "no federated credential of the application fits: compare its issuer, subject and audience " +
		"in Entra with those of the token"
	hintUnknownTenant = "unknown tenant: check tenant_id and cloud"
	hintOtherTenant   = "the user is not of this tenant: check tenant_id, or sign in as another user with " +
		"partnersync login"
	hintLoginAgain  = "the sign-in was revoked or has expired: sign in again with partnersync login"
	hintLoginMFA    = "the tenant wants the user's second factor again: sign in again with partnersync login"
	hintNoAuthority = "this is no answer of the authority: check authority_url, tenant_id and any proxy"
	hintWorkload    = "the tenant's conditional access does not let the application in: change its policy for workload " +
		"identities"
	hintConditions = "the tenant's conditional access does not let the user in from here: change the policy, or " +
		"sign in as another user"
)

// hintsByCode say what to do about the API's errors, by the codes of "Partner Center REST error codes" where no other
// source is named.
var hintsByCode = map[string]string{
	"800001": "the request came without a token: check for a proxy that takes the Authorization header away",
	"20002": "no reseller relationship with this customer: ask it to accept the relationship again, " +
		"or leave it out with exclude_customers",
	"900149": hintProgram,
	"800039": hintProgram,
}

// hintsForUsers are those that differ for an application that signs in on behalf of a user.
var hintsForUsers = map[string]string{
	"900421": hintMFA, // reported by partners since the enforcement of 2026
	"10001":  hintMFA, // reported by partners before that
	"900150": "the user's role has no right to this: give the user the role of an admin agent or a sales agent in " +
		"Partner Center",
}

// hintsForApplications are those for an application that signs in as itself, likewise.
var hintsForApplications = map[string]string{
	"900421": hintNotOfUsers,
	"10001":  hintNotOfUsers,
	"900150": "the application has no right to this: check that it is registered in Partner Center (App management)",
}

const (
	hintMFA = "the API wants multi-factor authentication: " +
		"use an app-only sign-in, or sign the user in again with MFA"
	hintNotOfUsers = "the API wants the multi-factor authentication of a user, though an application has signed in: " +
		"check that it is registered in Partner Center (App management)"
)

// "Get started with the Partner Center APIs" says who may use them.
const hintProgram = "the partner's program is not active, or may not use the API: " +
	"direct-bill partners and indirect providers may, indirect resellers may not"

const hintAudience = "the token is for another API: check cloud, and that api_url leads to that cloud's API"

var hintsByStatus = map[int]string{
	http.StatusUnauthorized: "the API does not accept the token: check that the application is registered " +
		"in Partner Center (App management) for this tenant and cloud",
	http.StatusForbidden: "the application may not read this: check its permissions " +
		"and the relationship with the customer; an indirect reseller may not use the API at all",
	http.StatusNotFound: "the API does not know this: check the customer id, and that the customer is this partner's",
	http.StatusTooManyRequests: "the API throttles this partner: " +
		"lower requests_per_minute, or let it run less often",
}

// What to do about answers that are wrong although the API says 200.
const (
	hintNoID = "nothing is removed from this list until each item has an id: quote the request id to " +
		"Microsoft's support"
	hintOtherCustomer = "nothing of this list is stored until its links name the right customer: if that goes on, " +
		"quote the request id to Microsoft's support"
)

// HintFor returns what to do about errors with a code (see [Error.ErrorCode]), whoever is concerned; "" if there is
// nothing to say in general.
func HintFor(code string) string {
	status, _ := strconv.Atoi(strings.TrimPrefix(code, "http_"))
	return cmp.Or(hintsByCode[code], authorityHints[code], ownHints[code], hintsByStatus[status])
}

// ownHints are those about what this client found out itself.
var ownHints = map[string]string{codeOtherCustomer: hintOtherCustomer, codeIncomplete: hintNoID}

// hint returns what to do about an error of the API. The oldest refusals for want of MFA have their number in the text
// alone.
func hint(e *Error, asUser bool) string {
	own := hintsForApplications
	if asUser {
		own = hintsForUsers
	}
	if h := cmp.Or(own[e.Code], hintsByCode[e.Code]); h != "" {
		return h
	}
	if e.Status == http.StatusUnauthorized {
		switch {
		case strings.Contains(e.Description, "MFA"):
			return own["900421"]
		case strings.Contains(e.Description, "incorrect audience"): // the gateway's words
			return hintAudience
		}
	}
	return hintsByStatus[e.Status]
}
