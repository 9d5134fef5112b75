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
		got, replaced := appendClean(nil, []byte(tt.in))
		if string(got) != tt.want || replaced != strings.Contains(tt.want, "\ufffd") {
			t.Errorf("%s: %s, replaced %t; want %s", tt.in, got, replaced, tt.want)
		}
	}
}

func TestAppendMember_cleansNames(t *testing.T) {
	t.Parallel()
	got, replaced := appendMember([]byte("{"), "a\x00\"\xff", []byte(`1`))
	if want := "{\"a\ufffd\\\"\ufffd\":1,"; string(got) != want || !replaced {
		t.Errorf("%s, replaced %t; want %s", got, replaced, want)
	}
}
