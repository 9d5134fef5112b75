package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"regexp"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"partnersync/store/storetest"
	"partnersync/sync/partnercenter/partnercentertest"
)

// The identities of the scripts' federated tokens.
const (
	testIssuer  = "https://cluster.test"
	testSubject = "system:serviceaccount:sync:partnersync"
)

// testKey is made once: it takes a while.
var testKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// signinCommand is what users and administrators do at the authority:
//
//	signin enters FILE USER            a user enters the code that the file shows, as soon as it does
//	signin refresh FILE USER           writes a refresh token of a user, as another program got it
//	signin certificate FILE DAYS       writes a certificate that the application has registered, good for so long
//	signin federated FILE              writes a token of an authority that the application trusts
//	signin revokes                     ends all sign-ins of users
//	signin mfa                         has users use a second factor from now on
//	signin loses                       breaks the next answer of the authority off in the middle
func signinCommand(ts *testscript.TestScript, _ bool, args []string) {
	api := worldOf(ts).api
	args = append(args, "", "", "")
	write := func(text string) { ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600)) }
	switch args[0] {
	case "enters":
		code := regexp.MustCompile(`enter the code (\w+)\n`)
		storetest.Eventually(ts, func() (got string, ok bool) {
			shown, _ := os.ReadFile(ts.MkAbs(args[1]))
			match := code.FindSubmatch(shown)
			return string(shown), match != nil && api.EnterCode(string(match[1]), args[2], true)
		})
	case "refresh":
		write(api.RefreshToken(args[2], false) + "\n")
	case "certificate":
		key, err := testKey()
		ts.Check(err)
		end := time.Now().Add(time.Duration(number(ts, args[2])) * 24 * time.Hour)
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: end}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		ts.Check(err)
		certificate, err := x509.ParseCertificate(der)
		ts.Check(err)
		api.RegisterCertificate(certificate)
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		write(string(append(text, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY",
			Bytes: x509.MarshalPKCS1PrivateKey(key)})...)))
	case "federated":
		key, err := testKey()
		ts.Check(err)
		api.TrustIssuer(testIssuer, testSubject, &key.PublicKey)
		write(federatedToken(ts, key))
	case "revokes":
		api.RevokeSignIns()
	case "loses":
		api.Fail(partnercentertest.Fault{Path: "/token$", Times: 1, ResetBody: true})
	case "mfa":
		api.RequireMFA(true)
	default:
		ts.Fatalf("unknown: signin %s", args[0])
	}
}

// federatedToken returns a token such as Kubernetes gives a pod.
func federatedToken(ts *testscript.TestScript, key *rsa.PrivateKey) string {
	claims, err := json.Marshal(map[string]any{
		"iss": testIssuer, "sub": testSubject, "aud": "api://AzureADTokenExchange",
		"exp": time.Now().Add(time.Hour).Unix(),
	})
	ts.Check(err)
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)) + "." +
		base64.RawURLEncoding.EncodeToString(claims)
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	ts.Check(err)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature) + "\n"
}

// tokenLike is what tokens look like: those for access, those of other authorities and assertions; refresh tokens,
// keys.
var tokenLike = regexp.MustCompile(`eyJ[\w-]{20}|1\.A[A-Z2-7]{20}|AGE-SECRET-KEY|BEGIN (RSA )?PRIVATE`)
