package browsertest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// measured writes measurements of both sides of a campaign, which a real one has from programs that
// are built for it.
func measured(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	const export = `{"type":"llvm.coverage.json.export","data":[{"files":[{"filename":"/library/ssl_tls13_client_with_a_long_name.c",` +
		`"summary":{"lines":{"count":1000,"covered":%d}}}]}]}`
	for name, text := range map[string]string{"c-1.json": fmt.Sprintf(export, 100), "c-60.json": fmt.Sprintf(export, 640),
		"engine-1.txt":  "mode: atomic\nattls/record/reader.go:1.1,2.2 10 0\nattls/handshake/alert.go:1.1,2.2 5 1\n",
		"engine-60.txt": "mode: atomic\nattls/record/reader.go:1.1,2.2 10 3\nattls/handshake/alert.go:1.1,2.2 5 1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// TestCampaignPage: the page of a campaign on a phone and on a large screen, light and dark, with
// the coverage of both sides opened.
func TestCampaignPage(t *testing.T) {
	for _, s := range []show{{400, 1800, false, false}, {400, 1800, true, false}, {1600, 2400, false, false}, {1600, 2400, true, false}} {
		title := fmt.Sprintf("fuzz-%d-%v", s.width, s.dark)
		t.Run(title, func(t *testing.T) {
			p := open(t, "fuzz", s)
			ask[int](p, `[...document.querySelectorAll("details")].map((d) => d.open = true).length`)
			p.picture(title)
			if wide := ask[int](p, "document.documentElement.scrollWidth - innerWidth"); wide > 0 {
				t.Errorf("the page is %d pixels wider than the window: %v", wide, ask[[]string](p, "overflowing()"))
			}
			p.none("too small to read", "small(12)")
			p.none("contrast", "pale(4.5)")
			p.none("for a screen reader", "untold()")
			if n := ask[int](p, `document.querySelectorAll("svg[role=img][aria-label='code that was run over time'] polyline").length`); n != 2 {
				t.Errorf("%d curves of code that was run", n)
			}
		})
	}
}
