package learn

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"attls"
	"attls/handshake"
)

// The tables are written from RFC 8446 appendix A and what the text says besides: section
// 5 on change_cipher_spec, 4.6 on what follows the handshake, 6.1 on close_notify. A line
// is a state, an input, the answer and the next state; "*" is every other input. The answer to
// update_requested may wait for the end's next data (section 4.6.3), which does not come here.
const refused = "alert unexpected_message"

const serverTable = `
START         ClientHello       ServerHello_EncryptedExtensions_Certificate_CertificateVerify_Finished  WAIT_FINISHED
START         CloseNotify       closed  CLOSED
START         *                 alert_unexpected_message  CLOSED
WAIT_FINISHED ChangeCipherSpec  -       WAIT_FINISHED
WAIT_FINISHED Finished          -       CONNECTED
WAIT_FINISHED CloseNotify       closed  CLOSED
WAIT_FINISHED *                 alert_unexpected_message  CLOSED
CONNECTED     ApplicationData   -       CONNECTED
CONNECTED     KeyUpdate         -       CONNECTED
CONNECTED     KeyUpdate+request -       CONNECTED
CONNECTED     CloseNotify       closed  CLOSED
CONNECTED     *                 alert_unexpected_message  CLOSED
CLOSED        *                 closed  CLOSED
`

const authenticatingTable = `
START         ClientHello       ServerHello_EncryptedExtensions_CertificateRequest_Certificate_CertificateVerify_Finished  WAIT_CERT
START         CloseNotify       closed  CLOSED
START         *                 alert_unexpected_message  CLOSED
WAIT_CERT     ChangeCipherSpec  -       WAIT_CERT
WAIT_CERT     Certificate       -       WAIT_CV
WAIT_CERT     EmptyCertificate  alert_certificate_required  CLOSED
WAIT_CERT     CloseNotify       closed  CLOSED
WAIT_CERT     *                 alert_unexpected_message  CLOSED
WAIT_CV       ChangeCipherSpec  -       WAIT_CV
WAIT_CV       CertificateVerify -       WAIT_FINISHED
WAIT_CV       CloseNotify       closed  CLOSED
WAIT_CV       *                 alert_unexpected_message  CLOSED
WAIT_FINISHED ChangeCipherSpec  -       WAIT_FINISHED
WAIT_FINISHED Finished          -       CONNECTED
WAIT_FINISHED CloseNotify       closed  CLOSED
WAIT_FINISHED *                 alert_unexpected_message  CLOSED
CONNECTED     ApplicationData   -       CONNECTED
CONNECTED     KeyUpdate         -       CONNECTED
CONNECTED     KeyUpdate+request -       CONNECTED
CONNECTED     CloseNotify       closed  CLOSED
CONNECTED     *                 alert_unexpected_message  CLOSED
CLOSED        *                 closed  CLOSED
`

const clientTable = `
WAIT_SH       ServerHello         -            WAIT_EE
WAIT_SH       HelloRetryRequest   ClientHello  WAIT_SH2
WAIT_SH2      ServerHello         -            WAIT_EE
WAIT_EE       EncryptedExtensions -            WAIT_CERT_CR
WAIT_CERT_CR  CertificateRequest  -            WAIT_CERT
WAIT_CERT_CR  Certificate         -            WAIT_CV
WAIT_CERT     Certificate         -            WAIT_CV_CR
WAIT_CV       CertificateVerify   -            WAIT_FINISHED
WAIT_CV_CR    CertificateVerify   -            WAIT_FINISHED_CR
WAIT_FINISHED Finished            Finished     CONNECTED
WAIT_FINISHED_CR Finished         Certificate_CertificateVerify_Finished  CONNECTED
CONNECTED     NewSessionTicket    -            CONNECTED
CONNECTED     KeyUpdate           -            CONNECTED
CONNECTED     KeyUpdate+request   -            CONNECTED
CONNECTED     ApplicationData     -            CONNECTED
CONNECTED     ChangeCipherSpec    alert_unexpected_message  CLOSED
CLOSED        *                   closed       CLOSED
*             ChangeCipherSpec    -            =
*             CloseNotify         closed       CLOSED
*             *                   alert_unexpected_message  CLOSED
`

// parse reads a table. A state "*" is every state, the next state "=" the same.
func parse(t *testing.T, text string, inputs []string) *Machine {
	t.Helper()
	var names []string
	var rows [][]string
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 4 {
			rows = append(rows, f)
			if f[0] != "*" && !slices.Contains(names, f[0]) {
				names = append(names, f[0])
			}
		}
	}
	m := &Machine{Format: Format, Inputs: inputs}
	for _, state := range names {
		outputs, next := make([]string, len(inputs)), make([]int, len(inputs))
		for i, x := range inputs {
			at := slices.IndexFunc(rows, func(f []string) bool {
				return (f[0] == state || f[0] == "*") && (f[1] == x || f[1] == "*")
			})
			if at < 0 {
				t.Fatalf("the table has nothing for %s in %s", x, state)
			}
			to := rows[at][3]
			if to == "=" {
				to = state
			}
			outputs[i], next[i] = strings.ReplaceAll(rows[at][2], "_", " "), slices.Index(names, to)
			for _, alert := range []string{refused, "alert certificate_required", "alert illegal_parameter",
				"alert unsupported_extension", "alert handshake_failure", "alert attestation_failed"} {
				outputs[i] = strings.ReplaceAll(outputs[i], strings.ReplaceAll(alert, "_", " "), alert)
			}
		}
		m.Outputs, m.Next = append(m.Outputs, outputs), append(m.Next, next)
	}
	return m
}

// TestEngineIsThatOfTheRFC: the machines of both roles are those of the tables.
func TestEngineIsThatOfTheRFC(t *testing.T) {
	for name, x := range map[string]struct {
		role  attls.Role
		table string
		asks  handshake.ClientAuthentication
	}{
		"server":                           {attls.RoleServer, serverTable, handshake.NoClientCertificate},
		"server that requires certificate": {attls.RoleServer, authenticatingTable, handshake.RequireClientCertificate},
		"client":                           {attls.RoleClient, clientTable, handshake.NoClientCertificate},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compare(t, x.role, x.table, Alphabet{}, x.asks)
		})
	}
}

// compare learns the engine of a role and compares its machine with a table.
func compare(t *testing.T, role attls.Role, table string, a Alphabet, asks handshake.ClientAuthentication) {
	t.Helper()
	mapper := NewMapper(role, "", Engine(role, Own(role, a, asks)), a)
	want := parse(t, table, mapper.Inputs())
	o := Options{Seed: 1, Words: 40, Shallow: a != (Alphabet{})}
	var m *Machine
	var stats Statistics
	var list []Difference
	for asked := -1; asked < len(o.Ask); { // what differs is asked, until the engine itself says it
		asked = len(o.Ask)
		var err error
		if m, stats, err = Learn(t.Context(), mapper, o); err != nil {
			t.Fatal(err)
		}
		if list, err = Diff(want, m); err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			if !slices.ContainsFunc(o.Ask, func(w []string) bool { return slices.Equal(w, d.Word) }) {
				o.Ask = append(o.Ask, d.Word)
			}
		}
	}
	for _, d := range list {
		t.Errorf("%s: the table has %s, the engine %s", strings.Join(d.Word, ", "), d.A, d.B)
	}
	if len(m.Next) != len(want.Next) {
		t.Errorf("%d states; the table has %d", len(m.Next), len(want.Next))
	}
	t.Logf("%d states, %+v", len(m.Next), stats)
}

// toy is a system with a machine of its own; at its query number flaky it answers otherwise.
type toy struct {
	m              *Machine
	state, queries int
	flaky          int
}

func (s *toy) Inputs() []string { return s.m.Inputs }
func (s *toy) Reset() error     { s.state = 0; s.queries++; return nil }
func (s *toy) Step(x string) (string, error) {
	i := slices.Index(s.m.Inputs, x)
	out := s.m.Outputs[s.state][i]
	s.state = s.m.Next[s.state][i]
	if s.queries == s.flaky {
		out += "?"
	}
	return out, nil
}

// deep counts to n with the input a, and tells nothing before.
func deep(n int) *Machine {
	m := &Machine{Format: Format, Inputs: []string{"a", "b"}}
	for i := range n {
		out := "0"
		if i == n-1 {
			out = "1"
		}
		m.Outputs, m.Next = append(m.Outputs, []string{out, "0"}), append(m.Next, []int{(i + 1) % n, 0})
	}
	return m
}

func TestLearnerFindsAToy(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5} {
		m, _, err := Learn(t.Context(), &toy{m: deep(n)}, Options{Seed: 2, Words: 3000})
		if err != nil {
			t.Fatal(err)
		}
		if list, err := Diff(deep(n), m); err != nil || len(list) > 0 || len(m.Next) != n {
			t.Errorf("%d states of %d, %v, %v", len(m.Next), n, list, err)
		}
	}
	if _, _, err := Learn(t.Context(), &toy{m: deep(5)}, Options{Words: 3000, MaxStates: 2}); err == nil {
		t.Error("more states than are allowed")
	}
	var twice *Nondeterminism
	if _, _, err := Learn(t.Context(), &toy{m: deep(3), flaky: 6}, Options{}); !errors.As(err, &twice) ||
		slices.Equal(twice.First, twice.Second) {
		t.Errorf("an answer that differs: %v", err)
	}
}

// TestLearnerRepeats: an answer that comes once, early or late, does not count, and the run says so; a
// peer that answers at random cannot be learned.
func TestLearnerRepeats(t *testing.T) {
	for _, flaky := range []int{1, 2, 6, 20} {
		m, stats, err := Learn(t.Context(), &toy{m: deep(3), flaky: flaky}, Options{Repeat: 3})
		if err != nil {
			t.Errorf("%d: %v", flaky, err)
			continue
		}
		if list, err := Diff(deep(3), m); err != nil || len(list) > 0 || len(stats.Doubts) != 1 {
			t.Errorf("%d: %v, %v, %+v", flaky, list, err, stats.Doubts)
		}
	}
	var twice *Nondeterminism
	if _, _, err := Learn(t.Context(), &random{}, Options{Repeat: 3}); !errors.As(err, &twice) {
		t.Errorf("%v", err)
	}
}

// slow is a toy whose answers are complete only for those who wait.
type slow struct {
	toy
	late, patience int
}

func (s *slow) Patience(times int) { s.patience = times }

func (s *slow) Step(input string) (string, error) {
	y, err := s.toy.Step(input)
	if s.late++; s.late%5 == 0 && s.patience < 2 && err == nil {
		return "-", nil
	}
	return y, err
}

// TestLearnerWaits: answers that came too late are asked for again with more time.
func TestLearnerWaits(t *testing.T) {
	s := &slow{toy: toy{m: deep(2)}}
	m, stats, err := Learn(t.Context(), s, Options{Repeat: 3, Words: 10})
	var twice *Nondeterminism
	if err != nil && !errors.As(err, &twice) || len(stats.Doubts) == 0 || s.patience != 1 {
		t.Fatalf("%v, %+v", err, stats)
	}
	for _, d := range stats.Doubts {
		if slices.Contains(d.First, "-") || err == nil && m == nil {
			t.Errorf("a late answer counts: %+v", d)
		}
	}
}

// random never answers twice with the same.
type random struct{ n int }

func (r *random) Inputs() []string { return []string{"a", "b"} }
func (r *random) Reset() error     { return nil }
func (r *random) Step(string) (string, error) {
	r.n++
	return fmt.Sprint(r.n), nil
}

func TestDifferencesAreShortest(t *testing.T) {
	list, err := Diff(deep(3), deep(4))
	if err != nil || len(list) != 1 || fmt.Sprint(list[0]) != "{[a a a] 1 0}" {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := Diff(deep(2), &Machine{Inputs: []string{"x"}}); err == nil {
		t.Error("machines with different inputs are compared")
	}
}

func TestMachineFiles(t *testing.T) {
	m := deep(3)
	var b, dot, svg bytes.Buffer
	if err := errors.Join(m.Write(&b), m.DOT(&dot), m.SVG(&svg, nil)); err != nil {
		t.Fatal(err)
	}
	if back, err := Read(&b); err != nil || len(back.Next) != 3 {
		t.Errorf("%v", err)
	}
	if !strings.Contains(dot.String(), `s0 -> s1 [label="a / 0"]`) || !strings.Contains(svg.String(), ">a / 0<") {
		t.Errorf("%s%s", dot.String(), svg.String())
	}
	for _, text := range []string{"", "{}", `{"format":"attls-machine 0"}`,
		`{"format":"attls-machine 1","inputs":["a"],"outputs":[["x"]],"next":[[1]]}`,
		`{"format":"attls-machine 1","inputs":["a"],"outputs":[["x"]],"next":[[]]}`,
		`{"format":"attls-machine 1","inputs":["a"],"outputs":[],"next":[]}`} {
		if _, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

// TestMute: a machine is mute that answers nothing in any state.
func TestMute(t *testing.T) {
	for _, w := range []struct {
		outputs [][]string
		mute    bool
	}{{[][]string{{Nothing, Nothing}}, true}, {[][]string{{Nothing, Nothing}, {Nothing, Closed}}, false}} {
		if m := (&Machine{Outputs: w.outputs}); m.Mute() != w.mute {
			t.Errorf("%v: %v", w.outputs, m.Mute())
		}
	}
}
