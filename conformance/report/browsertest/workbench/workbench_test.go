// Package workbench tries the page of "attls workbench" in headless Chromium: the program
// itself serves it. Without Chromium the tests are skipped, unless ATTLS_BROWSER is
// "required". Pictures go to the directory that ATTLS_PICTURES names.
package workbench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

var (
	chromium context.Context // nil: there is none
	missing  string          // why
	address  string          // of the page
	program  string          // attls
	probe    string          // what looks at layout and contrast, of the pages of reports
)

const root = "../../../.."

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	chrome := find("chromium", "chromium-browser", "google-chrome", "chrome")
	if chrome == "" {
		missing = "Chromium is not installed"
		if os.Getenv("ATTLS_BROWSER") == "required" {
			fmt.Fprintln(os.Stderr, missing)
			return 1
		}
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "attls-workbench")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	stop, err := serve(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer stop()
	b, err := os.ReadFile("../probe.js")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	probe = string(b)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chrome), chromedp.UserDataDir(filepath.Join(dir, "user")))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	defer end()
	var cancel context.CancelFunc
	chromium, cancel = chromedp.NewContext(allocator)
	defer cancel()
	if err := chromedp.Do(chromium, chromedp.Navigate("about:blank")); err != nil {
		fmt.Fprintf(os.Stderr, "%s does not start: %v\n", chrome, err)
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

// serve builds attls and lets it serve the page.
func serve(dir string) (stop func(), err error) {
	program = filepath.Join(dir, "attls")
	c := exec.Command("go", "build", "-o", program, "./cmd/attls")
	c.Dir = root
	if out, err := c.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	c = exec.Command(program, "workbench", "--no-open")
	c.Dir, c.Stderr = root, os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	stop = func() { _ = c.Process.Kill(); _ = c.Wait() }
	line, err := bufio.NewReader(out).ReadString('\n')
	if address = strings.TrimSpace(line); err != nil || !strings.HasPrefix(address, "http://127.0.0.1:") {
		stop()
		return nil, fmt.Errorf("attls workbench printed %q: %v", line, err)
	}
	return stop, nil
}

// tab is the page in a tab of its own, and what went wrong in it.
type tab struct {
	context.Context
	t *testing.T
	*heard
}

// heard is what the browser says that it should not have to.
type heard struct {
	address  string // of the page
	mu       sync.Mutex
	problems []string
}

// in is the same tab in a part of a test.
func (p *tab) in(t *testing.T) *tab { return &tab{p.Context, t, p.heard} }

type show struct {
	width, height int64
	dark          bool
}

var large = show{1600, 1400, false}

// open loads the page with what follows its address. A test fails on what the browser
// reports of it, and on a request for anything but its own files.
func open(t *testing.T, hash string, s show) *tab {
	t.Helper()
	return openAt(t, address, hash, s)
}

func openAt(t *testing.T, address, hash string, s show) *tab {
	t.Helper()
	if chromium == nil {
		t.Skip(missing)
	}
	ctx, cancel := chromedp.NewContext(chromium)
	t.Cleanup(cancel)
	ctx, stop := context.WithTimeout(ctx, 4*time.Minute) // so that a page that hangs fails
	t.Cleanup(stop)
	p := &tab{ctx, t, &heard{address: address}}
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatal(err)
	}
	call(p, log.Enable, cdp.Empty{})
	call(p, network.Enable, network.EnableParams{})
	p.look(s, "screen")
	p.do(chromedp.Navigate(address + hash))
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, problem := range p.problems {
			t.Error(problem)
		}
	})
	p.until("document.documentElement.dataset.ready === 'true'")
	return p
}

func (p *tab) look(s show, media string) {
	p.t.Helper()
	scheme := map[bool]string{false: "light", true: "dark"}[s.dark]
	call(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: s.width, Height: s.height, DeviceScaleFactor: 1})
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: media, Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
}

func (p *heard) hear(e any) {
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
		if u := e.Request.URL; !strings.HasPrefix(u, p.address) && !strings.HasPrefix(u, "blob:"+p.address) && !strings.HasPrefix(u, "data:,") ||
			e.Request.Method != "GET" {
			problem = "a request: " + e.Request.Method + " " + u
		}
	}
	if problem != "" {
		p.mu.Lock()
		p.problems = append(p.problems, problem[:min(len(problem), 300)])
		p.mu.Unlock()
	}
}

// forget leaves out what a test has provoked.
func (p *heard) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.problems = nil
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p, steps...); err != nil {
		p.t.Fatal(err)
	}
}

func call[P, R any](p *tab, command cdp.Command[P, R], params P) R {
	p.t.Helper()
	result, err := chromedp.Call(p, command, params)
	if err != nil {
		p.t.Fatal(err)
	}
	return result
}

func ask[T any](p *tab, expression string) T {
	p.t.Helper()
	answer, err := chromedp.Run(p, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%.200s: %v", expression, err)
	}
	return answer
}

// until waits for an expression to be true.
func (p *tab) until(expression string) {
	p.t.Helper()
	const patience = 100_000 // ms
	if !ask[bool](p, fmt.Sprintf(`new Promise((done) => { const end = Date.now() + %d; (function again() {
		let ok = false; try { ok = !!(%s); } catch {} if (ok || Date.now() > end) done(ok); else setTimeout(again, 20); })(); })`,
		patience, expression)) {
		p.t.Fatalf("not within %d ms: %s\nthe page says %q", patience, expression,
			ask[string](p, "[$('status').textContent, $('notice').textContent, $('outcome').textContent, $('problems').textContent].join(' | ')"))
	}
}

// edit puts a text into the editor as typing does, and waits for what follows.
func (p *tab) edit(text string) {
	p.t.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		p.t.Fatal(err)
	}
	ask[bool](p, fmt.Sprintf("checked = null, editor.value = %s, editor.dispatchEvent(new Event('input')), hideOffers(), true", quoted))
	p.until("checked !== null && engine.current === null && engine.queue.length === 0")
}

func (p *tab) picture(name string) {
	p.t.Helper()
	octets, err := chromedp.Run(p, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	dir := os.Getenv("ATTLS_PICTURES")
	if dir == "" {
		dir = p.t.TempDir()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "workbench-"+name+".png"), octets, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

const changed = `profile: mine
base: early-attestation-06
code_points: {extensions: {remoteAttestation: 0xFF07}}
binder:
  define:
    key_bound: 'expand_label(base, "attestation!", hash(spki(role)), Hash.length)'
`

// TestEditAndRun goes the way of somebody who changes a line of a draft.
func TestEditAndRun(t *testing.T) {
	p := open(t, "", large)
	p.until("lastRun && lastRun.ok")
	if n := ask[int](p, "document.querySelectorAll('.changed').length"); n != 0 {
		t.Errorf("a profile that changes nothing has %d changes", n)
	}
	p.edit(changed)
	p.until("lastRun && lastRun.scenario.profile === 'mine' && document.querySelector('#binders .lit')")
	// The inputs that changed light up: the messages, which have another code point, and the
	// label; the attester's key does not.
	if lit := ask[[]string](p, "[...document.querySelectorAll('#binders .lit > code')].map((e) => e.textContent)"); fmt.Sprint(lit) !=
		`[CH..SH "attestation!"]` {
		t.Errorf("lit: %q", lit)
	}
	if n := ask[int](p, "document.querySelectorAll('#binders .changed').length"); n < 2 {
		t.Errorf("%d nodes of the binder changed", n)
	}
	for what, expression := range map[string]string{
		"the new code point in the ladder": "$('ladder').textContent.includes('0xff07')",
		"what the base says":               "$('back').children[2].textContent.includes('base: 0xFF06')",
		"the octets":                       "$('octets').textContent.includes('ClientHello')",
		"a verdict":                        "$('verdicts').textContent.includes('✓')",
	} {
		if !ask[bool](p, expression) {
			t.Errorf("%s: not there", what)
		}
	}
	p.picture("changed")

	// An error is at its line, and the run before stays.
	p.edit(strings.Replace(changed, "hash(spki", "hsah(spki", 1))
	if line := ask[int](p, "[...$('back').children].findIndex((e) => e.className === 'error') + 1"); line != 6 {
		t.Errorf("the error is at line %d", line)
	}
	ask[bool](p, "$('problems').querySelector('button').click(), true")
	if line := ask[int](p, "lineOf(editor.selectionStart)"); line != 6 {
		t.Errorf("the button leads to line %d", line)
	}
	p.picture("error")

	// Completion from the reference.
	ask[bool](p, "editor.focus(), editor.value = 'profile: mine\\nbase: early-attestation-06\\nnegotiation:\\n  choose:\\n    ord', editor.setSelectionRange(1e6, 1e6), complete(), true")
	p.do(chromedp.KeyEvent(kb.Enter))
	p.until("editor.value.trimEnd().endsWith('    order:')")
	ask[bool](p, "editor.value = editor.value.trimEnd() + ' ', editor.setSelectionRange(1e6, 1e6), complete(), true")
	if words := ask[[]string](p, "offered.map((x) => x.word)"); fmt.Sprint(words) != "[client server]" {
		t.Errorf("offered: %q", words)
	}
	p.do(chromedp.KeyEvent(kb.Escape))
	if ask[bool](p, "!$('complete').hidden") {
		t.Error("Escape does not close the list")
	}

	// The choices.
	p.edit(changed)
	ask[bool](p, "$('attester').value = 'both', $('attester').dispatchEvent(new Event('change')), $('hello_retry').click(), true")
	p.until("lastRun && lastRun.scenario.attester === 'both' && lastRun.scenario.hello_retry && $('ladder').textContent.includes('HelloRetryRequest')")
	if n := ask[int](p, "$('binders').querySelectorAll(':scope > p').length"); n != 2 {
		t.Errorf("%d binders", n)
	}
	ask[bool](p, "$('more').open = true, [...$('readings').querySelectorAll('select')].find((s) => s.parentNode.textContent.startsWith('hrr')).focus(), document.activeElement.value = 'b', document.activeElement.dispatchEvent(new Event('change')), true")
	p.until("lastRun && (lastRun.scenario.readings || {}).hrr === 'b'")

	ask[bool](p, "state.readings = {}, $('hello_retry').click(), true")
	p.until("lastRun && !lastRun.scenario.readings && !lastRun.scenario.hello_retry")

	// One fault, as a cell of the grid opens it.
	ask[bool](p, "fault = 'binder', run(), true")
	p.until("lastRun && lastRun.fault && $('outcome').textContent.includes('Rejected as expected')")
	p.picture("fault")

	t.Run("compare", func(t *testing.T) { compare(p.in(t)) })

	t.Run("faults", func(t *testing.T) { faults(p.in(t)) })
	t.Run("downloads", func(t *testing.T) { downloads(p.in(t)) })
	t.Run("watchdog", func(t *testing.T) { watchdog(p.in(t)) })
	t.Logf("milliseconds: %v", ask[map[string]float64](p, "measured"))
}

// compare puts the profile next to another one, whose reading is then flipped.
func compare(p *tab) {
	t := p.t
	p.edit(changed)
	ask[bool](p, "$('diff-run').click(), true")
	p.until("$('diff').textContent.includes('code_points.extensions.remoteAttestation')")
	ask[bool](p, "$('name').value = 'early-attestation-05', $('name').dispatchEvent(new Event('change')), true")
	p.until("lastRun.base_name === 'early-attestation-05' && lastRun.base && $('diff').textContent.includes('early-attestation-05')")
	p.until("$('other-readings').children.length > 0 && engine.current === null && engine.queue.length === 0")
	before := ask[string](p, "$('diff').textContent")
	ask[bool](p, `{ const s = [...$('other-readings').querySelectorAll('select')].find((s) => s.options.length > 1); window.flipped = s.parentNode.textContent;
		s.value = [...s.options].find((o) => !o.text.includes('default')).value; s.dispatchEvent(new Event('change')); } true`)
	p.until("Object.keys(state.other_readings).length === 1 && $('diff').textContent !== " + quote(before))
	ask[bool](p, "$('diff').scrollIntoView(), true")
	p.picture("compare")
	ask[bool](p, "$('name').value = '', $('name').dispatchEvent(new Event('change')), true")
	p.until("lastRun.base_name === 'early-attestation-06' && engine.current === null && engine.queue.length === 0")
	text := "profile: theirs\nbase: early-attestation-06\nbinder:\n  define:\n    key_bound: 'expand_label(base, \"theirs\", hash(spki(role)), Hash.length)'\n"
	ask[bool](p, "$('other').value = "+quote(text)+", $('other').dispatchEvent(new Event('input')), true")
	p.until("lastRun.base_name === 'theirs' && document.querySelector('#binders .lit') && $('binders').textContent.includes('theirs: ')")
	ask[bool](p, "$('other').value = '', $('other').dispatchEvent(new Event('input')), true")
	p.until("lastRun.base_name === 'early-attestation-06'")
	if t.Failed() {
		t.Log(before)
	}
}

// quote is a text for JavaScript.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a text always has a form
	}
	return string(b)
}

// faults runs the grid and opens a cell.
func faults(p *tab) {
	t := p.t
	ask[bool](p, "$('faults-run').click(), true")
	p.until("$('faults-state').textContent.includes('as expected')")
	if s := ask[string](p, "$('faults-state').textContent"); !strings.Contains(s, "all as expected") {
		t.Error(s)
	}
	ask[bool](p, "[...$('faults').children].find((e) => e.textContent === 'misplaced').click(), true")
	p.until("lastRun && lastRun.fault && lastRun.fault.name === 'misplaced'")
	ask[bool](p, "$('faults').scrollIntoView(), true")
	p.picture("faults")
}

// downloads gets every file.
func downloads(p *tab) {
	t := p.t
	dir := t.TempDir()
	call(p, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir})
	p.edit(changed)
	for kind, name := range map[string]string{"yaml": "mine.yaml", "whole": "mine.whole.yaml", "compiled": "mine.compiled", "dissector": "mine.lua",
		"recording": "mine.json", "pcapng": "mine.pcapng"} {
		ask[bool](p, fmt.Sprintf("$('download').value = %q, $('download').dispatchEvent(new Event('change')), true", kind))
		for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
			if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Size() > 0 {
				break
			}
			if time.Since(began) > time.Minute {
				t.Fatalf("%s was not downloaded", name)
			}
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "mine.yaml")); err != nil || string(b) != changed {
		t.Errorf("%q, %v", b, err)
	}
}

// watchdog: what goes wrong in the engine leaves the editor as it is, and is told.
func watchdog(p *tab) {
	t := p.t
	p.edit(changed)
	for kind, want := range map[string]string{"panic": "on purpose", "loop": "did not answer", "recursion": "stack"} {
		ask[bool](p, fmt.Sprintf("limits.try = 1500, engine.ask('try', {kind: %q}).catch(() => {}), true", kind))
		p.until(fmt.Sprintf("$('notice').textContent.includes(%q) && engine.ready", want))
		if text := ask[string](p, "editor.value"); text != changed {
			t.Errorf("after a %s the editor has %q", kind, text)
		}
		p.edit(changed + "# " + kind + "\n")
		p.until("lastRun && lastRun.ok && !errors()")
		p.edit(changed)
	}
}

// policy: the browser refuses to send anything to another place.
func policy(p *tab) {
	t := p.t
	refused := ask[[]string](p, `Promise.all([
		fetch("http://127.0.0.1:9/").then(() => "fetch", () => ""),
		new Promise((done) => { const i = new Image(); i.onload = () => done("image"); i.onerror = () => done(""); i.src = "http://127.0.0.1:9/x.png"; }),
		new Promise((done) => { try { const s = new WebSocket("ws://127.0.0.1:9/"); s.onopen = () => done("socket"); s.onerror = () => done(""); } catch { done(""); } }),
		new Promise((done) => { const w = new Worker(URL.createObjectURL(new Blob(["fetch('http://127.0.0.1:9/').then(() => postMessage('fetch of a worker'), () => postMessage(''))"])));
			w.onmessage = (e) => done(e.data); }),
		new Promise((done) => { const seen = []; addEventListener("securitypolicyviolation", (e) => { seen.push(e.effectiveDirective); if (seen.length === 3) done(""); });
			setTimeout(() => done("only " + seen), 30000); }),
	]).then((l) => l.filter((s) => s))`)
	for _, what := range refused {
		t.Errorf("the policy allows: %s", what)
	}
	p.forget()
}

// TestLayout: on a phone and on a large screen, light and dark, nothing is wider than the
// page, and everything is large and strong enough to be read.
func TestLayout(t *testing.T) {
	p := open(t, "", large)
	p.edit(changed)
	p.until("lastRun && lastRun.scenario.profile === 'mine'")
	ask[bool](p, "diff().then(() => { $('more').open = true; $('overridden').open = true; return true; })")
	ask[int](p, probe+"\n0")
	for _, s := range []show{{400, 1800, false}, {400, 1800, true}, large, {1600, 1400, true}} {
		name := fmt.Sprintf("%d-%s", s.width, map[bool]string{false: "light", true: "dark"}[s.dark])
		t.Run(name, func(t *testing.T) {
			p := p.in(t)
			p.look(s, "screen")
			if wide := ask[int](p, "document.documentElement.scrollWidth - innerWidth"); wide > 0 {
				t.Errorf("the page is %d pixels wider than the window: %v", wide, ask[[]string](p, "overflowing()"))
			}
			for what, expression := range map[string]string{"too small to read": "small(12)", "contrast": "pale(4.5)"} {
				for _, found := range ask[[]string](p, expression) {
					if !strings.Contains(found, "rgba(0, 0, 0, 0)") { // what is behind the text of the editor
						t.Errorf("%s: %s", what, found)
					}
				}
			}
			p.picture(name)
		})
	}
	p.look(show{800, 1100, false}, "print")
	if ask[bool](p, "$('choices').checkVisibility() || !$('back').checkVisibility()") {
		t.Error("on paper there are controls, or there is no text")
	}
	p.picture("print")
	p.look(large, "screen")
	t.Run("keyboard", func(t *testing.T) { keyboard(p.in(t)) })
	t.Run("policy", func(t *testing.T) { policy(p.in(t)) })
}

// keyboard: the tabulator key leads into the editor and out of it, and to every
// control in front.
func keyboard(p *tab) {
	t := p.t
	ask[bool](p, "$('start').focus(), document.activeElement.blur(), true")
	reached := map[string]bool{}
	for range 60 {
		p.do(chromedp.KeyEvent(kb.Tab))
		reached[ask[string](p, "document.activeElement.id")] = true
	}
	for _, id := range []string{"start", "attester", "group", "hello_retry", "run", "link", "download", "name", "post_handshake", "editor", "faults-run", "attacks-run", "diff-run"} {
		if !reached[id] {
			t.Errorf("the tabulator key does not reach %s", id)
		}
	}
	ask[bool](p, "editor.focus(), lastRun = null, true")
	p.do(chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(2)))
	p.until("lastRun !== null")
}
