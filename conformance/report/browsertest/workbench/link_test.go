package workbench

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// pack makes the part of an address behind # in the page, as a hostile program would.
func pack(p *tab, content string) string {
	p.t.Helper()
	return ask[string](p, fmt.Sprintf(`new Response(new Blob([%s]).stream().pipeThrough(new CompressionStream("deflate-raw"))).arrayBuffer().then((b) => {
		let s = ""; for (const o of new Uint8Array(b)) s += String.fromCharCode(o); return '#' + btoa(s).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, ""); })`, content))
}

// packed is a state as a link has it.
func packed(p *tab, state map[string]any) string {
	p.t.Helper()
	if _, ok := state["v"]; !ok {
		state["v"] = 1
	}
	b, err := json.Marshal(state)
	if err != nil {
		p.t.Fatal(err)
	}
	return pack(p, quote(string(b)))
}

// TestLink: a link has the whole state, and nothing of it runs before the user says so.
func TestLink(t *testing.T) {
	p := open(t, "", large)
	p.edit(changed)
	ask[bool](p, `Object.assign(state, {readings: mapOf([['hrr', 'b']]), hello_retry: true, extended_key_update: true, name: 'early-attestation-05'}),
		fault = '', attack = {name: 'relay-leaked-key', cell: 'relay-leaked-key/mine/server/evidence/x509/hrr=b'}, true`)
	hash := ask[string](p, "toLink().then((s) => '#' + s)")

	p = open(t, hash, large)
	if text := ask[string](p, "editor.value"); text != changed {
		t.Errorf("the link has %q", text)
	}
	p.until("engine.current === null && engine.queue.length === 0")
	if ran := ask[bool](p, "lastRun !== null || !$('attack').hidden"); ran {
		t.Error("the link was run before it was looked at")
	}
	if notice := ask[string](p, "$('notice').textContent"); !strings.Contains(notice, "press Run") {
		t.Errorf("the notice is %q", notice)
	}
	ask[bool](p, "$('run').click(), true")
	p.until("lastRun && lastRun.scenario.hello_retry && lastRun.scenario.readings.hrr === 'b' && lastRun.scenario.extended_key_update && lastRun.base_name === 'early-attestation-05'")
	p.until("!$('attack').hidden && $('attack').querySelectorAll('.what').length > 6")
	if again := ask[string](p, "toLink().then((s) => '#' + s)"); again != hash {
		t.Error("the link of what a link opened is another one")
	}
}

const markup = "</textarea></script><img src=x onerror=alert(1)><script>alert(1)</script>"

// TestHostileLinks: a link is read or refused, within bounds; nothing of it becomes markup or is run.
func TestHostileLinks(t *testing.T) {
	p := open(t, "", large)
	p.until("measured.warm")
	ask[bool](p, `window.asked = [], window.plainAsk = engine.ask, engine.ask = function (m, r) { asked.push(m); return plainAsk.call(this, m, r); }, true`)
	sound := "profile: mine\nbase: early-attestation-06\n"
	choices := map[string]string{}
	for i := range 300 {
		choices[fmt.Sprint("s", i)] = "a"
	}
	read := map[string]string{
		"markup": packed(p, map[string]any{"text": "profile: \"" + markup + "\"\nbase: early-attestation-06\n", "other": markup, "name": markup, "attester": "<b>",
			"readings": map[string]string{"<b>": markup, "__proto__": "x", "constructor": "y"}, "code_points": map[string]int{"constructor": 1, "toString": 2},
			"fail": markup, "attack": map[string]string{"name": markup, "cell": markup}}),
		"unknown keys":   packed(p, map[string]any{"text": sound, "run": true, "trusted": true, "method": "try", "kind": "loop"}),
		"a fault":        packed(p, map[string]any{"text": sound, "fail": "binder", "attack": map[string]string{"name": "read-only", "cell": "x"}}),
		"not a profile":  packed(p, map[string]any{"text": strings.Repeat("a: ", 80000)}),
		"many lines":     packed(p, map[string]any{"text": strings.Repeat("\n", 262000)}),
		"a choice of no": packed(p, map[string]any{"text": sound, "model": "none such", "group": "x"}),
	}
	refused := map[string]string{
		"bomb":              pack(p, `"x".repeat(3e7)`),
		"bomb of JSON":      pack(p, `'{"v":1,"text":"' + "x".repeat(3e7) + '"}'`),
		"noise":             "#%00<script>",
		"not base64":        "#!!!!",
		"not deflate":       "#AAAAAAAAAA",
		"long":              "#" + strings.Repeat("A", 400000),
		"truncated":         packed(p, map[string]any{"text": sound})[:40],
		"not JSON":          pack(p, `"{"`),
		"nothing":           pack(p, `"null"`),
		"a list":            pack(p, `"[1]"`),
		"deep":              pack(p, `'{"v":1,"text":' + "[".repeat(3e5) + "]".repeat(3e5) + "}"`),
		"another version":   packed(p, map[string]any{"v": 2, "text": sound}),
		"no text":           packed(p, map[string]any{}),
		"text of a number":  packed(p, map[string]any{"text": 1}),
		"long text":         packed(p, map[string]any{"text": strings.Repeat("x", 262145)}),
		"long other":        packed(p, map[string]any{"text": sound, "other": strings.Repeat("x", 262145)}),
		"negative point":    packed(p, map[string]any{"text": sound, "code_points": map[string]int{"x": -1}}),
		"point of a text":   packed(p, map[string]any{"text": sound, "code_points": map[string]string{"x": "1"}}),
		"many readings":     packed(p, map[string]any{"text": sound, "readings": choices}),
		"reading of a list": packed(p, map[string]any{"text": sound, "readings": map[string]any{"hrr": []int{1}}}),
		"attack of a list":  packed(p, map[string]any{"text": sound, "attack": map[string]any{"name": []int{1}, "cell": "x"}}),
	}
	try := func(t *testing.T, link, want string) *tab {
		p := p.in(t)
		p.edit(changed)
		ask[bool](p, fmt.Sprintf("notice(''), lastRun = null, trusted = true, asked.length = 0, location.hash = %s, true", quote(link)))
		p.until(fmt.Sprintf("$('notice').textContent.includes(%q) && engine.current === null && engine.queue.length === 0", want))
		if n := ask[int](p, "document.querySelectorAll('img, script:not([src]), iframe, object, embed').length"); n != 0 {
			t.Errorf("%d elements came with the link", n)
		}
		if ran := ask[[]string](p, "asked.filter((m) => !['check', 'lint'].includes(m))"); len(ran) > 0 {
			t.Errorf("it had the engine do %q", ran)
		}
		ask[bool](p, "history.replaceState(null, '', location.pathname), true")
		return p
	}
	for name, link := range read {
		t.Run(name, func(t *testing.T) {
			p := try(t, link, "came with a link")
			p.until("checked !== null && asked.includes('check')")
			if ask[bool](p, "lastRun !== null || trusted || $('ladder').children.length > 0") {
				t.Error("it was run, or what is shown is of another text")
			}
		})
	}
	for name, link := range refused {
		t.Run(name, func(t *testing.T) {
			p := try(t, link, "cannot be read")
			if text := ask[string](p, "editor.value"); text != changed {
				t.Errorf("the editor has %.60q", text)
			}
		})
	}
	// The page works on.
	p.edit(changed + "# more\n")
	p.until("engine.restarts === 0 && checked && !errors()")
}
