// Package browsertest tries the pages of conformance/report in headless Chromium. The
// pages are files that the main module writes: this one does not import it.
//
// Without Chromium the tests are skipped, unless ATTLS_BROWSER is "required". Pictures
// and printed pages go to the directory that ATTLS_PICTURES names.
package browsertest

import (
	"context"
	_ "embed"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

//go:embed probe.js
var probe string

var (
	browser context.Context // nil: there is no Chromium
	missing string          // why
	pages   string          // directory of the pages
)

// root is the main module's directory.
const root = "../../.."

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	program := find("chromium", "chromium-browser", "google-chrome", "chrome")
	if program == "" {
		missing = "Chromium is not installed"
		if os.Getenv("ATTLS_BROWSER") == "required" {
			fmt.Fprintln(os.Stderr, missing)
			return 1
		}
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "attls-pages")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	pages = dir
	if err := write(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.UserDataDir(filepath.Join(dir, "user")))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	var cancel context.CancelFunc
	browser, cancel = chromedp.NewContext(allocator)
	defer cancel()
	if err := chromedp.Do(browser, chromedp.Navigate("about:blank")); err != nil {
		fmt.Fprintf(os.Stderr, "%s does not start: %v\n", program, err)
		return 1
	}
	return m.Run()
}

func find(names ...string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// write has the main module write its pages: those of its tests, and what attls itself
// makes of a connection with another stack.
func write(dir string) error {
	campaign := filepath.Join(dir, "campaign")
	if err := measured(filepath.Join(campaign, "coverage")); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"run", "./cmd/attls", "fuzz", "run", "none", "--time", "0", "--executions", "300", "--workers", "1", "--dir", campaign},
		{"run", "./cmd/attls", "fuzz", "report", campaign, "--out", filepath.Join(dir, "fuzz.html")},
		{"test", "-count=1", "-run", "^TestWritePages$", "./conformance/report"},
		{"run", "./cmd/attls", "conform", "--filter", "attls>crypto/tls", "--html", filepath.Join(dir, "conform.html")},
		{"run", "./cmd/attls", "lab", "--profile", "early-attestation-07,tls-attestation-03", "--html", filepath.Join(dir, "lab.html")},
	} {
		c := exec.Command("go", args...)
		c.Dir = root
		c.Env = append(os.Environ(), "ATTLS_PAGES="+dir)
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

var everyPage = []string{"conform", "sample", "wide", "hostile", "empty"}

// tab is a page in a tab of its own, and what went wrong in it.
type tab struct {
	context.Context
	t *testing.T

	mu       sync.Mutex
	problems []string
}

// show is how a page is looked at.
type show struct {
	width, height int64
	dark          bool
	print         bool
}

// open loads a page. A test fails on what the browser reports of it: an error, a
// dialog, a request for anything but the page.
func open(t *testing.T, name string, s show) *tab {
	t.Helper()
	if browser == nil {
		t.Skip(missing)
	}
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute) // so that a page that hangs fails
	t.Cleanup(stop)
	p := &tab{Context: ctx, t: t}
	address := (&url.URL{Scheme: "file", Path: filepath.Join(pages, name+".html")}).String()
	if err := chromedp.Listen(ctx, func(e any) { p.heard(e, address) }); err != nil {
		t.Fatal(err)
	}
	scheme, media := "light", "screen"
	if s.dark {
		scheme = "dark"
	}
	if s.print {
		media = "print"
	}
	call(p, log.Enable, cdp.Empty{})
	call(p, network.Enable, network.EnableParams{})
	call(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: s.width, Height: s.height, DeviceScaleFactor: 1})
	p.media(media, scheme)
	p.do(chromedp.Navigate(address))
	ask[int](p, probe+"\n0")
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, problem := range p.problems {
			t.Error(problem)
		}
	})
	return p
}

// heard notes what a page may not do.
func (p *tab) heard(e any, address string) {
	problem := ""
	switch e := e.(type) {
	case *runtime.EventExceptionThrown:
		problem = fmt.Sprintf("an exception: %s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
	case *runtime.EventConsoleAPICalled:
		problem = fmt.Sprintf("on the console: %s %v", e.Type, e.Args)
	case *log.EventEntryAdded:
		problem = fmt.Sprintf("in the log: %s %s", e.Entry.Level, e.Entry.Text)
	case *page.EventJavascriptDialogOpening:
		problem = "a dialog: " + e.Message
	case *network.EventRequestWillBeSent:
		if e.DocumentURL != address || e.Request.URL != address {
			problem = "a request: " + e.Request.URL
		}
	}
	if problem != "" {
		p.mu.Lock()
		p.problems = append(p.problems, problem[:min(len(problem), 300)])
		p.mu.Unlock()
	}
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// call runs a command of the browser's protocol.
func call[P, R any](p *tab, command cdp.Command[P, R], params P) R {
	p.t.Helper()
	result, err := chromedp.Call(p, command, params)
	if err != nil {
		p.t.Fatal(err)
	}
	return result
}

// media is what the page takes itself to be shown on.
func (p *tab) media(media, scheme string) {
	p.t.Helper()
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: media, Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
}

// ask evaluates an expression of JavaScript, which may use what probe.js defines.
func ask[T any](p *tab, expression string) T {
	p.t.Helper()
	answer, err := chromedp.Run(p, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%.100s: %v", expression, err)
	}
	return answer
}

// none reports what a probe found.
func (p *tab) none(what, expression string) {
	p.t.Helper()
	for i, found := range ask[[]string](p, expression) {
		if i == 5 {
			p.t.Errorf("%s: and more", what)
			return
		}
		p.t.Errorf("%s: %s", what, found)
	}
}

// keep writes a picture or a printed page for people to look at.
func keep(t *testing.T, name string, octets []byte) {
	t.Helper()
	dir := os.Getenv("ATTLS_PICTURES")
	if dir == "" {
		dir = t.TempDir()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), octets, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (p *tab) picture(name string) {
	p.t.Helper()
	octets, err := chromedp.Run(p, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	keep(p.t, name+".png", octets)
}

// TestLayout: on a phone and on a large screen, light and dark, nothing is wider than
// the page, and everything is large and strong enough to be read.
func TestLayout(t *testing.T) {
	for _, name := range everyPage {
		for _, s := range []show{{400, 1800, false, false}, {400, 1800, true, false}, {1600, 1800, false, false}, {1600, 1800, true, false}, {700, 1000, false, true}} {
			kind := map[bool]string{false: "light", true: "dark"}[s.dark]
			if s.print {
				kind = "print"
			}
			title := fmt.Sprintf("%s-%d-%s", name, s.width, kind)
			t.Run(title, func(t *testing.T) {
				p := open(t, name, s)
				p.picture(title)
				ask[int](p, "opened(3)")
				if wide := ask[int](p, "document.documentElement.scrollWidth - innerWidth"); wide > 0 {
					t.Errorf("the page is %d pixels wider than the window: %v", wide, ask[[]string](p, "overflowing()"))
				}
				p.none("too small to read", "small(12)")
				p.none("contrast", "pale(4.5)")
				p.picture(title + "-opened")
			})
		}
	}
}

// TestPhoneShowsTheMatrix: every cell of the matrix is in the window of a phone, without
// scrolling sideways even inside the box.
func TestPhoneShowsTheMatrix(t *testing.T) {
	p := open(t, "wide", show{400, 1800, false, false})
	p.none("outside", "outside('.matrix td:not(.none), .matrix th[scope=row]')")
	p.do(chromedp.ScrollIntoView(chromedp.CSS(".matrix")))
	p.picture("wide-400-matrix")
	if label := ask[string](p, "getComputedStyle(document.querySelector('.matrix td'), '::before').content"); !strings.Contains(label, "a-profile-of-somebody") {
		t.Errorf("a cell is named %s", label)
	}
}

// TestLightness: the colours of the outcomes differ in lightness (L* of CIELAB), so that
// they can be told apart in grey.
func TestLightness(t *testing.T) {
	for _, dark := range []bool{false, true} {
		p := open(t, "wide", show{1600, 900, dark, false})
		p.none("alike in grey", "alike('.bar span', 8)")
		p.none("alike in grey", "alike('.matrix .cell.passed, .matrix .cell.failed', 12)")
	}
}

// TestKeyboard: the tabulator key reaches every control that is shown, in the order of
// the page, each with a visible focus; the first is the link to the runs.
func TestKeyboard(t *testing.T) {
	p := open(t, "sample", show{400, 900, false, false})
	want := ask[[]string](p, "controls()")
	var got []string
	for range len(want) + 5 {
		p.do(chromedp.KeyEvent(kb.Tab))
		if ask[bool](p, "document.activeElement === document.body || seen.has(document.activeElement)") {
			break
		}
		got = append(got, ask[string](p, "focused()"))
		if faint := ask[string](p, "faintFocus()"); faint != "" {
			t.Errorf("no visible focus on %s: %s", got[len(got)-1], faint)
		}
	}
	if len(got) == 0 || !strings.Contains(got[0], "Skip to the runs") {
		t.Errorf("the first is %q", got)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the tabulator key reaches\n%q\nof\n%q", got, want)
	}

	// A run opens and closes, and the filter is reached by its key.
	ask[int](p, "document.querySelector('.run summary').focus() ?? 0")
	p.do(chromedp.KeyEvent(kb.Enter))
	if ask[int](p, "document.querySelectorAll('.run[open]').length") != 1 {
		t.Error("the Enter key does not open a run")
	}
	p.do(chromedp.KeyEvent("/"))
	if id := ask[string](p, "document.activeElement.id"); id != "search" {
		t.Errorf("/ leads to %q", id)
	}
	p.do(chromedp.KeyEvent("mbedtls-poc"))
	if n := ask[int](p, "document.querySelectorAll('.run:not([hidden])').length"); n != 1 {
		t.Errorf("%d runs are shown of mbedtls-poc", n)
	}
}

// TestScreenReader: tables have captions and heads with a scope, controls have names,
// outcomes are told in words.
func TestScreenReader(t *testing.T) {
	for _, name := range everyPage {
		p := open(t, name, show{400, 900, false, false})
		ask[int](p, "opened(3)")
		p.none("for a screen reader", "untold()")
	}
	p := open(t, "sample", show{400, 900, false, false})
	if text := ask[string](p, "document.querySelector('.matrix button').textContent"); !strings.Contains(text, "attls → attls, early-attestation-06: ") || !strings.Contains(text, " passed") {
		t.Errorf("a cell of the matrix says %q", text)
	}
	if text := ask[string](p, "document.querySelector('.run.failed summary').textContent"); !strings.Contains(text, "failed: ") {
		t.Errorf("a run says %q", text)
	}
}

// TestFilter: a cell of the matrix leaves its runs, and says that it is pressed.
func TestFilter(t *testing.T) {
	p := open(t, "wide", show{1600, 900, false, false})
	all := ask[int](p, "document.querySelectorAll('.run').length")
	p.do(chromedp.Click(chromedp.CSS(".matrix button")))
	if n := ask[int](p, "document.querySelectorAll('.run:not([hidden])').length"); n == 0 || n >= all {
		t.Errorf("%d runs of %d", n, all)
	}
	if pressed := ask[string](p, "document.querySelector('.matrix button').getAttribute('aria-pressed')"); pressed != "true" {
		t.Errorf("the cell says %q", pressed)
	}
}

// TestDarkByButton: the button changes the colours, and says which they are.
func TestDarkByButton(t *testing.T) {
	p := open(t, "sample", show{1600, 900, false, false})
	const paper = "getComputedStyle(document.body).backgroundColor"
	light := ask[string](p, paper)
	p.do(chromedp.Click(chromedp.CSS("#theme")))
	if ask[string](p, paper) == light || ask[string](p, "document.getElementById('theme').getAttribute('aria-pressed')") != "true" {
		t.Error("the button changes nothing")
	}
	p.none("contrast", "pale(4.5)")
}

// TestHostilePage: what a peer, a program or a file says never runs, and no text grows
// without bound.
func TestHostilePage(t *testing.T) {
	p := open(t, "hostile", show{400, 900, false, false})
	ask[int](p, "opened(1000)")
	if n := ask[int](p, "document.images.length + document.querySelectorAll('body script:not([type])').length + document.links.length"); n != 2 {
		t.Errorf("%d pictures, scripts and links", n) // the page's own script, and the link to the runs
	}
	if n := ask[int](p, "document.body.textContent.length"); n > 2_000_000 {
		t.Errorf("the page has %d characters", n)
	}
	// A script that got into the page would not run: the policy knows the page's one.
	ask[int](p, `{ const s = document.createElement("script"); s.textContent = "window.injected = true"; document.body.append(s); 0 }`)
	if ask[bool](p, "!!window.injected") {
		t.Error("an injected script runs")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.problems) == 0 || !strings.Contains(strings.Join(p.problems, ""), "Content Security Policy") {
		t.Errorf("the browser reports %q", p.problems)
	}
	p.problems = nil
}

// TestPrint: a page prints, with the colours of paper even where the screen is dark.
func TestPrint(t *testing.T) {
	for _, name := range []string{"conform", "sample", "wide"} {
		p := open(t, name, show{1600, 900, true, false})
		p.media("print", "dark")
		pdf, err := chromedp.Run(p, chromedp.PrintToPDF())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(pdf), "%PDF-") || len(pdf) < 5000 {
			t.Errorf("%s: %d octets of PDF", name, len(pdf))
		}
		keep(t, name+".pdf", pdf)
		if ink := ask[string](p, "getComputedStyle(document.body).color"); ink != "rgb(29, 33, 39)" {
			t.Errorf("%s is printed in %s", name, ink)
		}
	}
}
