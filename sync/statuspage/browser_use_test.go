//go:build browser

package statuspage

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// people opens a Chromium that is used as people do: by typing and clicking, which its command line cannot do.
func people(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.ExecPath("chromium"),
		chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // ends the browser, and waits for that
		cancel()
	})
	return ctx
}

func TestBrowser_searchFollowALinkAndTurnPages(t *testing.T) {
	t.Parallel()
	w, _ := story(t)
	for n := range 60 {
		w.put(beta, fmt.Sprintf("Leasing %02d", n), "queued")
	}
	w.api.ClearFaults()
	w.pass()
	ctx := people(t)
	// shown does what leads to a page with the heading, and returns the page's text.
	shown := func(heading string, do ...chromedp.Action[chromedp.Void]) string {
		t.Helper()
		do = append(do, chromedp.WaitVisible(fmt.Sprintf(`//h1[contains(., %q)]`, heading)))
		if err := chromedp.Do(ctx, do...); err != nil {
			t.Fatalf("%s: %v", heading, err)
		}
		text, err := chromedp.Run(ctx, chromedp.Text("main"))
		if err != nil {
			t.Fatalf("%s: %v", heading, err)
		}
		return text
	}
	shown("Overview", chromedp.Navigate(w.url))
	shown("Customers", chromedp.Click(`//header//a[.="Customers"]`))
	found := shown("Customers", chromedp.SendKeys(`input[name="q"]`, "fabrikam leasing"+kb.Enter),
		chromedp.WaitVisible(`//p[.="1 customer"]`))
	if strings.Contains(found, "Söhne") {
		t.Errorf("the search finds others too:\n%s", found)
	}
	first := shown("Fabrikam Leasing", chromedp.Click(`//a[contains(., "Fabrikam Leasing")]`))
	second := shown("Fabrikam Leasing", chromedp.Click(`a[rel="next"]`), chromedp.WaitVisible(`a[rel="prev"]`))
	if !strings.Contains(first, "60 batches") || !strings.Contains(first, "Page 1 of 3") || !strings.Contains(second,
		"Page 2 of 3") {
		t.Errorf("first page:\n%s\nsecond page:\n%s", first, second)
	}
	opened := shown("Fabrikam Leasing", chromedp.Click("summary"), chromedp.WaitVisible("details[open] table"))
	if !strings.Contains(opened, "Happened after") {
		t.Errorf("the versions are not shown:\n%s", opened)
	}
}
