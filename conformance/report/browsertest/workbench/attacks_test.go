package workbench

import (
	"testing"
)

const unbound = `profile: mine
base: early-attestation-06
binder:
  define:
    base: null
    key_bound: 'hash(spki(role))'
  post_handshake: null
switches: {pha_base: null}
`

// TestAttacks runs the laboratory under a binder that leaves the connection out, and opens an
// attack that succeeds because of it.
func TestAttacks(t *testing.T) {
	p := open(t, "", large)
	p.edit(unbound)
	ask[bool](p, "$('attacks-run').click(), true")
	p.until("$('attacks-state').textContent.includes('control')")
	for what, expression := range map[string]string{
		"every control as expected": "$('attacks-state').textContent.includes('every control as expected')",
		"the marks of changes":      "document.querySelectorAll('#attacks .accepted.otherwise').length > 0",
		"nothing unknown":           "document.querySelectorAll('#attacks .wrong').length === 0",
	} {
		if !ask[bool](p, expression) {
			t.Errorf("%s: not there; %s", what, ask[string](p, "$('attacks-state').textContent"))
		}
	}
	ask[bool](p, "document.querySelector('#attacks .accepted.otherwise').click(), true")
	p.until("!$('attack').hidden && document.activeElement === $('attack')")
	for what, expression := range map[string]string{
		"three lanes":        "$('attack').querySelectorAll('.names span').length === 3",
		"messages":           "$('attack').querySelectorAll('.what').length > 6",
		"the base's outcome": "$('attack').querySelector('.changed').textContent.includes('rejected')",
		"the control":        "$('attack').textContent.includes('Control (')",
	} {
		if !ask[bool](p, expression) {
			t.Errorf("%s: not there: %s", what, ask[string](p, "$('attack').textContent"))
		}
	}
	ask[bool](p, "$('attack').scrollIntoView(), true")
	p.picture("attack")
	t.Logf("milliseconds: %v", ask[float64](p, "measured.attacks"))
	ask[int](p, probe+"\n0")
	p.look(show{400, 1800, true}, "screen")
	if wide := ask[int](p, "document.documentElement.scrollWidth - innerWidth"); wide > 0 {
		t.Errorf("the page is %d pixels wider than the window: %v", wide, ask[[]string](p, "overflowing()"))
	}
	p.picture("attack-400")
	p.edit(changed)
	if !ask[bool](p, "$('attacks').classList.contains('old')") {
		t.Error("after a change the outcomes look as if they were of it")
	}
}

// TestPhases draws what comes after the handshake.
func TestPhases(t *testing.T) {
	p := open(t, "", large)
	if !ask[bool](p, "$('reattest').disabled && !$('post_handshake').disabled") {
		t.Error("what the profile does not have is offered")
	}
	ask[bool](p, "$('post_handshake').click(), $('extended_key_update').click(), true")
	p.until("lastRun.scenario.post_handshake && lastRun.ok && [...document.querySelectorAll('.phase')].map((e) => e.textContent).join().includes('Extended Key Update,Application data,Post-handshake authentication')")
	ask[bool](p, "$('post_handshake').click(), true")
	p.edit("profile: mine\nbase: seat-expat-04\n")
	ask[bool](p, "$('reattest').click(), true")
	p.until("lastRun.ok && lastRun.scenario.reattest && $('ladder').textContent.includes('ClientCertificateRequest') && $('binders').querySelectorAll(':scope > p').length === 2")
	if n := ask[int](p, "[...document.querySelectorAll('.phase')].filter((e) => e.textContent.includes('Exported')).length"); n != 2 {
		t.Errorf("%d exchanges of authenticators", n)
	}
	p.picture("phases")
}
