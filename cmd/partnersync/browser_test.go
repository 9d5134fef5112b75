//go:build browser

package main

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"partnersync/store/storetest"
)

// readmePicture is the picture of the status page in the README.
const readmePicture = "../../deploy/status-page.png"

// TestBrowser_pictureOfTheDemo makes the README's picture, of the demo while a customer fails. It is kept with the
// test's output; -update writes the one in the repository anew. Chromium's command line is enough to take it.
func TestBrowser_pictureOfTheDemo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	dir := t.TempDir()
	printed, err := os.Create(filepath.Join(dir, "printed"))
	if err != nil {
		t.Fatal(err)
	}
	defer printed.Close()
	demo := exec.CommandContext(ctx, "partnersync", "demo", "--interval", "3s")
	demo.Stdout, demo.Stderr = printed, printed
	demo.Cancel = func() error { return demo.Process.Signal(os.Interrupt) }
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = demo.Wait() // it was interrupted
	}()
	var url string
	storetest.Eventually(t, func() (string, bool) {
		text, err := os.ReadFile(printed.Name())
		if at := listeningAt.FindSubmatch(text); at != nil {
			url = "http://" + string(at[1])
		}
		return string(text), err == nil && url != "" && strings.Contains(string(text), "\npass 6 at ")
	})
	picture := filepath.Join(t.ArtifactDir(), "status-page.png")
	const width, height = 1200, 2200
	chromium := exec.CommandContext(ctx, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
		"--lang=en-US",
		"--blink-settings=preferredColorScheme=1", "--user-data-dir="+filepath.Join(dir, "chromium"),
		"--virtual-time-budget=2000",
		"--screenshot="+picture, fmt.Sprintf("--window-size=%d,%d", width, height), url)
	if said, err := chromium.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	data, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	config, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil || config.Width != width || config.Height != height {
		t.Fatalf("the picture is %d by %d: %v", config.Width, config.Height, err)
	}
	if *update {
		if err := os.WriteFile(readmePicture, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
