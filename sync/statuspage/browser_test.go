//go:build browser

package statuspage

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// browse opens the page in a Chromium of its own, in Tokyo, and returns the document as it is then and what was logged.
func browse(t *testing.T, url string, args ...string) (document, log string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	args = append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr", "--lang=en-US",
		"--user-data-dir=" + t.TempDir(), "--virtual-time-budget=2000",
	}, args...)
	cmd := exec.CommandContext(ctx, "chromium", append(args, url)...)
	cmd.Env = append(os.Environ(), "TZ=Asia/Tokyo")
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("chromium %s: %v\n%s", url, err, errs.String())
	}
	return out.String(), errs.String()
}

// consoleLines are what a page's console says of what was refused or went wrong.
var consoleLines = regexp.MustCompile(`(?m)^.*(CONSOLE|Refused to|Content Security Policy).*$`)

func TestBrowser_pages(t *testing.T) {
	t.Parallel()
	w, paths := story(t)
	_, err := w.db.Pool.Exec(t.Context(), `UPDATE partner_center.customers SET first_seen_at = '2026-01-01T20:30:00Z'`)
	w.ok(err)
	for name, path := range paths {
		document, log := browse(t, w.url+path, "--dump-dom")
		if said := consoleLines.FindAllString(log, -1); said != nil && name != "missing" {
			t.Errorf("%s: the browser says %q", name, said)
		}
		if scripts := strings.Count(document, "<script"); scripts != 1 || strings.Contains(document, "<img") {
			t.Errorf("%s: %d scripts, or a picture, in\n%s", name, scripts, document)
		}
		if name == "customer" && !strings.Contains(document, `title="2026-01-01 20:30:00 UTC">Jan 2, 2026, 5:30`) {
			t.Errorf("times are not Tokyo's in\n%s", document)
		}
	}
}

func TestBrowser_screenshots(t *testing.T) {
	t.Parallel()
	w, paths := story(t)
	dir := t.ArtifactDir()
	for _, name := range []string{"overview", "customers", "customer", "failing"} {
		for _, view := range []struct {
			name          string
			width, height int
			args          []string
		}{
			{"wide", 1200, 2000, nil},
			{"dark", 1200, 2000, []string{"--blink-settings=preferredColorScheme=0"}},
			{"phone", 500, 2600, nil}, // Chromium's windows are no narrower
		} {
			file := filepath.Join(dir, fmt.Sprintf("%s-%s.png", name, view.name))
			browse(t, w.url+paths[name],
				append(view.args, "--screenshot="+file, fmt.Sprintf("--window-size=%d,%d", view.width, view.height))...)
			if info, err := os.Stat(file); err != nil || info.Size() < 10_000 {
				t.Errorf("%s: there is no picture: %v", file, err)
			}
		}
	}
	t.Logf("pictures in %s", dir)
}
