package browsertest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// relayed is a square of the page of the laboratory: a relay that is rejected.
const relayed = `button[aria-label^="relay-leaked-key/early-attestation-07/server/evidence/x509"]`

// chooses clicks a square and waits until its run is shown.
func (p *tab) chooses(square string) {
	p.t.Helper()
	p.do(chromedp.ScrollIntoView(chromedp.CSS(square)))
	ask[int](p, fmt.Sprintf("document.querySelector(%q).click() ?? 0", square))
	p.shown(square)
}

// shown waits until the run of a square is shown.
func (p *tab) shown(square string) {
	p.t.Helper()
	if !ask[bool](p, fmt.Sprintf(`(async () => {
		const n = document.querySelector(%q).dataset.n;
		for (let i = 0; i < 400 && document.getElementById("run").dataset.shown !== n; i++) await new Promise((r) => setTimeout(r, 25));
		return document.getElementById("run").dataset.shown === n;
	})()`, square)) {
		p.t.Fatalf("the run of %s is not shown", square)
	}
}

// TestLaboratoryLayout: the page of the laboratory on a phone and on a large screen, light
// and dark, with a run open.
func TestLaboratoryLayout(t *testing.T) {
	for _, s := range []show{{400, 1800, false, false}, {400, 1800, true, false}, {1600, 2400, false, false}, {1600, 2400, true, false}} {
		title := fmt.Sprintf("lab-%d-%v", s.width, map[bool]string{false: "light", true: "dark"}[s.dark])
		t.Run(title, func(t *testing.T) {
			p := open(t, "lab", s)
			p.picture(title)
			p.chooses(relayed)
			if wide := ask[int](p, "document.documentElement.scrollWidth - innerWidth"); wide > 0 {
				t.Errorf("the page is %d pixels wider than the window: %v", wide, ask[[]string](p, "overflowing()"))
			}
			p.none("too small to read", "small(12)")
			p.none("contrast", "pale(4.5)")
			p.none("for a screen reader", "untold()")
			p.picture(title + "-run")
		})
	}
}

// TestLaboratoryRun: a click shows the run, with lanes, what was copied, both binders and
// the first input in which they differ, the verdict and the command that repeats it.
func TestLaboratoryRun(t *testing.T) {
	p := open(t, "lab", show{1600, 2400, false, false})
	p.chooses(relayed)
	text := ask[string](p, `document.getElementById("run").textContent`)
	for _, want := range []string{"rejected by the client at certificate with attestation_failed", "first input that differs",
		"copied", "ClientHello", "attls lab --attack relay-leaked-key --profile early-attestation-07", ".pcapng",
		"which must accept: accepted"} {
		if !strings.Contains(text, want) {
			t.Errorf("the run does not say %q", want)
		}
	}
	for _, selector := range []string{".flow.l01", ".flow.l12", ".flow.left", ".flow.right", ".inputs .first", ".steps .done"} {
		if ask[int](p, fmt.Sprintf("document.querySelectorAll(%q).length", "#run "+selector)) == 0 {
			t.Errorf("the run has no %s", selector)
		}
	}
	if ask[int](p, `document.querySelectorAll(".matrix .rejected").length`) == 0 || ask[int](p, `document.querySelectorAll(".matrix .accepted").length`) == 0 {
		t.Error("the matrix has one colour")
	}
	if wrong := ask[int](p, `document.querySelectorAll(".matrix .wrong").length`); wrong != 0 {
		t.Errorf("%d cells are not as expected", wrong)
	}
	if n := ask[int](p, `document.querySelectorAll(".goals tbody tr").length`); n < 20 {
		t.Errorf("%d rows by security goal", n)
	}
	p.none("alike in grey", "alike('.matrix .accepted, .matrix .rejected, .matrix .none', 5)")
}

// TestLaboratoryKeyboard: a square is chosen with the keyboard, and a link opens a run.
func TestLaboratoryKeyboard(t *testing.T) {
	p := open(t, "lab", show{1600, 1200, false, false})
	ask[int](p, fmt.Sprintf("document.querySelector(%q).focus() ?? 0", relayed))
	p.do(chromedp.KeyEvent(kb.Enter))
	p.shown(relayed)
	if at := ask[string](p, "document.activeElement.id"); at != "run" {
		t.Errorf("the focus is on %q", at)
	}
	other := strings.Replace(relayed, "server/evidence", "server/results", 1)
	ask[int](p, fmt.Sprintf(`(location.hash = "run-" + document.querySelector(%q).dataset.n, 0)`, other))
	p.shown(other)
	if text := ask[string](p, `document.querySelector("#run .verdict").textContent`); !strings.HasPrefix(text, "accepted") {
		t.Errorf("the run says %q", text)
	}
}
