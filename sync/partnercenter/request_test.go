package partnercenter

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
)

func TestReadBody_everyLengthComesWhole(t *testing.T) {
	t.Parallel()
	const most = 4 << 20
	for _, size := range []int{0, 1, 511, 1<<20 - 1, 1 << 20, 1<<20 + 1, 3 << 20, most, most + 1} {
		for _, known := range []bool{true, false} {
			sent := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if known {
					w.Header().Set("Content-Length", strconv.Itoa(size))
				} else {
					w.(http.Flusher).Flush() // the length is not known when the header goes out
				}
				w.Write(sent)
			}))
			resp, err := http.Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			if (resp.ContentLength >= 0) != known {
				t.Fatalf("the length is given as %d, want it known: %t", resp.ContentLength, known)
			}
			got, err := readBody(resp, most, nil)
			resp.Body.Close()
			server.Close()
			if err != nil || !bytes.Equal(got, sent[:min(size, most)]) {
				t.Errorf("%d bytes, length known: %t: got %d bytes, %v", size, known, len(got), err)
			}
			if known && size <= most && cap(got) > size+2*bytes.MinRead+1<<13 {
				t.Errorf("%d bytes take %d", size, cap(got))
			}
		}
	}
}

func TestReadBody_claimedLengthCostsLittle(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(60<<20))
		fmt.Fprint(w, "and no more")
	}))
	defer server.Close()
	resp, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := readBody(resp, 64<<20, nil); err == nil || cap(got) > 2<<20 {
		t.Errorf("%d bytes with room for %d, and error %v; want an error and no room for what was claimed", len(got),
			cap(got), err)
	}
}
