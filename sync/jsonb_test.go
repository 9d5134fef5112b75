package sync

import (
	"testing"

	"partnersync/store/storetest"
	"partnersync/sync/partnercenter"
)

// What is written as PostgreSQL would print it is compared with that as text, so it must be that to the letter.
func TestJSONB_isAsPostgreSQLPrintsIt(t *testing.T) {
	t.Parallel()
	pool := storetest.New(t).Pool
	printed := func(text string) (as string) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), "SELECT $1::text::jsonb::text", text).Scan(&as); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return as
	}
	for _, text := range []string{
		`{}`, `{"a":1}`, `{"bb":1,"a":2,"B":3}`, `{"a":1,"b":2,"a":3}`, `{"a":{"yy":[],"x":[{},[1,"2",null,true,-3.50]]}}`,
		`{"é":1,"zz":2,"y":3}`, `{"":"","a\"b":"\\\n\r\t\b\f/\u0001\u001f` + "\x7f" + `<>&😀"}`, `{"a":[{"d":1,"c":2,"d":3}]}`, `{"Z":1,"a":2,"_":3}`,
	} {
		if got, want := jsonb([]byte(text)), printed(text); got != want {
			t.Errorf("%s is written %s; PostgreSQL prints %s", text, got, want)
		}
	}
	policies := []partnercenter.PolicyAssignment{{Key: "a<b>", Value: new("x & \u2028 \"y\"")}, {Key: "b"}}
	if got := assignments(policies); got != printed(got) {
		t.Errorf("policies are written %s; PostgreSQL prints %s", got, printed(got))
	}
}
