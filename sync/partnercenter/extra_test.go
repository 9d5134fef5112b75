package partnercenter

import (
	"strings"
	"testing"
)

func TestAppendClean_writesWhatDatabasesTake(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("1", 1001)
	tests := []struct{ in, want string }{
		{` { "a" : [ 1 , true , null , "b" ] } `, `{"a":[1,true,null,"b"]}`},
		{`"\u0000a\u0000"`, "\"\ufffda\ufffd\""},
		{`"\\u0000"`, `"\\u0000"`},
		{`"\\\u0000"`, `"\\` + "\ufffd\""},
		{`{"\u0000":"\""}`, "{\"\ufffd\":\"\\\"\"}"},
		{`"\ud800"`, "\"\ufffd\""},
		{"\"\xff\"", "\"\ufffd\""},
		{`"\u00e9\/"`, `"é/"`},
		{`[1.50,-0,1e5,1E+300]`, `[1.50,-0,1e5,1E+300]`},
		{`[1e1000,-1E-99999,{"a":` + long + `}]`, `["1e1000","-1E-99999",{"a":"` + long + `"}]`},
		{long[:1000], long[:1000]},
		{`{"a":1,"a":2}`, `{"a":1,"a":2}`},
	}
	for _, tt := range tests {
		if got := string(appendClean(nil, []byte(tt.in))); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestAppendMember_cleansNames(t *testing.T) {
	t.Parallel()
	got := string(appendMember([]byte("{"), "a\x00\"\xff", []byte(`1`)))
	if want := "{\"a\ufffd\\\"\ufffd\":1,"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
