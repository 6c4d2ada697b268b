package cases

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// sketch is a profile that is being edited: its whole text as a tree.
type sketch struct {
	root *yaml.Node
	r    *rand.Rand
	did  []string
}

func newSketch(p *profile.Profile, r *rand.Rand) (*sketch, error) {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(p.Source()), &n); err != nil {
		return nil, err
	}
	s := &sketch{root: n.Content[0], r: r}
	s.set("edited", "profile")
	s.set("{name: edited, status: experiment}", "draft")
	return s, nil
}

func (s *sketch) text() string {
	b, _ := yaml.Marshal(s.root)
	return string(b)
}

// get finds what stands under keys, or nil.
func (s *sketch) get(keys ...string) *yaml.Node {
	n := s.root
	for _, k := range keys {
		if n = child(n, k); n == nil {
			return nil
		}
	}
	return n
}

func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func (s *sketch) has(keys ...string) bool { return s.get(keys...) != nil }

// set puts YAML under keys, making the maps around it.
func (s *sketch) set(text string, keys ...string) {
	var v yaml.Node
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		panic(text + ": " + err.Error())
	}
	n := s.root
	for i, k := range keys {
		next := child(n, k)
		switch {
		case i == len(keys)-1 && next != nil:
			*next = *v.Content[0]
		case i == len(keys)-1:
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: k}, v.Content[0])
		case next == nil:
			next = &yaml.Node{Kind: yaml.MappingNode}
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: k}, next)
		}
		n = next
	}
}

func (s *sketch) del(keys ...string) {
	n := s.get(keys[:len(keys)-1]...)
	for i := 0; n != nil && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == keys[len(keys)-1] {
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
	}
}

func (s *sketch) keys(keys ...string) (list []string) {
	n := s.get(keys...)
	for i := 0; n != nil && i+1 < len(n.Content); i += 2 {
		list = append(list, n.Content[i].Value)
	}
	return list
}

func (s *sketch) value(keys ...string) string {
	if n := s.get(keys...); n != nil {
		return n.Value
	}
	return ""
}

// pick takes one of a list; "" of an empty one.
func (s *sketch) pick(list ...string) string {
	if len(list) == 0 {
		return ""
	}
	return list[s.r.IntN(len(list))]
}

// replace changes a word wherever it appears in a text of the tree.
func (s *sketch) replace(old, with string, under ...string) {
	word := regexp.MustCompile(`\b` + regexp.QuoteMeta(old) + `\b`)
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			n.Value = word.ReplaceAllString(n.Value, with)
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	for _, k := range under {
		if n := s.get(k); n != nil {
			walk(n)
		}
	}
}

// path is a path of a slot in its parts: message, extension, field.
func (s *sketch) path(slot, key string) (message, extension, field string) {
	parts := strings.SplitN(s.value("bind", "slots", slot, key), ".", 3)
	if len(parts) < 3 {
		return "", "", ""
	}
	return parts[0], parts[1], parts[2]
}

// bodyOf is the type of an extension in a message.
func (s *sketch) bodyOf(extension, message string) string {
	if b := s.value("extensions", extension, message, "body"); b != "" {
		return b
	}
	return s.value("extensions", extension, "body")
}

// structure cuts the text of the structures around the definition of a struct.
func (s *sketch) structure(name string) (before, text, after string, ok bool) {
	types := s.value("types")
	end := strings.Index(types, "} "+name+";")
	if end < 0 {
		return "", "", "", false
	}
	begin := strings.LastIndex(types[:end], "\nstruct {")
	if begin = max(begin, 0); !strings.Contains(types[begin:end], "struct {") {
		return "", "", "", false
	}
	return types[:begin], types[begin:end], types[end:], true
}

// addField puts a field in front of the others of a struct, or of its arm for a
// message.
func (s *sketch) addField(name, message, field string) bool {
	before, text, after, ok := s.structure(name)
	if !ok {
		return false
	}
	changed := strings.Replace(text, "case "+message+":", "case "+message+": "+field, 1)
	if changed == text {
		if strings.Contains(text, "select (Handshake.msg_type)") {
			return false
		}
		changed = strings.Replace(text, "struct {", "struct { "+field, 1)
	}
	s.get("types").Value = before + changed + after
	return true
}

// edit is one kind of change; it returns false where it has no place.
type editKind struct {
	name string
	do   func(*sketch) bool
}

// override sets a value that may be the reading of a switch.
func (s *sketch) override(text string, keys ...string) bool {
	s.set(text, keys...)
	return true
}

var editKinds = []editKind{
	{"another name of an extension", func(s *sketch) bool {
		old := s.pick(s.keys("extensions")...)
		s.replace(old, "renamed_ext", "code_points", "extensions", "bind", "quirks", "accepted_flaws", "switches")
		return old != ""
	}},
	{"another name of a field", func(s *sketch) bool {
		fields := regexp.MustCompile(`\b([a-z]+_[a-z_]+)(<|;|\[)`).FindAllStringSubmatch(s.value("types"), -1)
		if len(fields) == 0 {
			return false
		}
		old := fields[s.r.IntN(len(fields))][1]
		if s.has("extensions", old) || s.has("bind", "slots", old) {
			return false
		}
		s.replace(old, "renamed_field", "types", "bind", "accepted_flaws", "negotiation")
		return true
	}},
	{"code points exchanged", func(s *sketch) bool {
		for _, registry := range []string{"extensions", "alerts"} {
			keys := s.keys("code_points", registry)
			if len(keys) < 2 {
				continue
			}
			a, b := s.get("code_points", registry, keys[0]), s.get("code_points", registry, keys[len(keys)-1])
			a.Value, b.Value = b.Value, a.Value
		}
		if s.has("accepted_flaws", "number_taken") {
			s.set("experiment", "accepted_flaws", "number_taken")
		}
		return true
	}},
	{"other code points", func(s *sketch) bool {
		for i, k := range s.keys("code_points", "extensions") {
			s.set(fmt.Sprintf("0x%X", 0xff50+8*i+s.r.IntN(8)), "code_points", "extensions", k)
		}
		s.del("accepted_flaws", "number_taken")
		return true
	}},
	{"another label", func(s *sketch) bool {
		text := regexp.MustCompile(`"[^"$]+"`)
		changed := false
		for _, k := range s.keys("binder", "define") {
			n := s.get("binder", "define", k)
			if strings.Contains(n.Value, "digest(") {
				continue
			}
			next := text.ReplaceAllString(n.Value, `"another label"`)
			changed = changed || next != n.Value
			n.Value = next
		}
		return changed
	}},
	{"other lengths of the payload", func(s *sketch) bool {
		n := s.get("types")
		bounds := regexp.MustCompile(`(cmw\w*)<1\.\.2\^\d+-1>`)
		next := bounds.ReplaceAllString(n.Value, s.pick("${1}<1..2^16-1>", "${1}<0..60000>", "${1}<2..2^24-1>", "${1}<1..2^24-9>"))
		changed := next != n.Value
		n.Value = next
		if changed {
			s.set("experiment", "accepted_flaws", "payload_bound")
		}
		return changed
	}},
	{"other lengths of lists", func(s *sketch) bool {
		n := s.get("types")
		next := regexp.MustCompile(`(schemes|types|verifiers)<(\d)\.\.2\^(8|16)-1>`).ReplaceAllString(n.Value, s.pick("${1}<${2}..2^16-1>", "${1}<${2}..2^15>", "${1}<${2}..255>"))
		changed := next != n.Value
		n.Value = next
		s.set("experiment", "accepted_flaws", "element_bound")
		return changed
	}},
	{"a constant more", func(s *sketch) bool {
		ext := s.pick(s.keys("extensions")...)
		message := s.pick(s.keys("extensions", ext)...)
		return s.addField(s.bodyOf(ext, message), message, s.pick("uint16 epoch = 1;", "uint8 version = 3;", "uint24 magic = 0x010203;"))
	}},
	{"a field that nothing names", func(s *sketch) bool {
		ext := s.pick(s.keys("extensions")...)
		message := s.pick(s.keys("extensions", ext)...)
		return s.addField(s.bodyOf(ext, message), message, s.pick("uint8 flags;", "opaque note<0..255>;", "opaque pad[4];"))
	}},
	{"a nonce for a slot in its own message", func(s *sketch) bool { return s.addNonce(false) }},
	{"a nonce for a slot in an extension of its own", func(s *sketch) bool { return s.addNonce(true) }},
	{"a nonce moved to an extension of its own", func(s *sketch) bool {
		slot := s.pick(s.keys("bind", "slots")...)
		if !s.has("bind", "slots", slot, "nonce") {
			return false
		}
		return s.freshNonce(slot)
	}},
	{"no nonce", func(s *sketch) bool {
		any := false
		for _, slot := range s.keys("bind", "slots") {
			if s.has("bind", "slots", slot, "nonce") {
				s.del("bind", "slots", slot, "nonce")
				any = true
			}
		}
		if !any {
			return false
		}
		s.del("nonce")
		into := func(keys ...string) {
			for _, k := range s.keys(keys...) {
				n := s.get(append(slices.Clone(keys), k)...)
				n.Value = strings.ReplaceAll(n.Value, "nonce(role)", "hash(CH..SH)")
			}
		}
		into("binder", "define")
		into("binder", "challenge")
		for _, sw := range s.keys("switches") {
			into("switches", sw)
		}
		return true
	}},
	{"nonces of another size", func(s *sketch) bool {
		if !s.hasNonce() {
			return false
		}
		s.del("nonce")
		s.set(s.pick("{size: 16}", "{size: 8, receive_at_most: 16}", "{receive_at_most: 24}", "{size: 64, receive_at_most: 64}", "{default: 0x0011223344556677}"), "nonce")
		return true
	}},
	{"nonces of a fixed length", func(s *sketch) bool {
		if !s.hasNonce() {
			return false
		}
		n := s.get("types")
		next := regexp.MustCompile(`opaque (\w*nonce\w*)<[^>]*>`).ReplaceAllString(n.Value, "opaque ${1}[32]")
		changed := next != n.Value
		n.Value = next
		s.del("nonce")
		return changed
	}},
	{"the client's choice in another message", func(s *sketch) bool {
		for _, slot := range s.keys("bind", "slots") {
			message, ext, field := s.path(slot, "choice")
			if s.value("bind", "slots", slot, "attester") != "client" || message != "certificate_request" || !s.has("extensions", ext, "encrypted_extensions") {
				continue
			}
			types := s.get("types")
			types.Value = regexp.MustCompile(`case certificate_request: (\w+) `+field+`;`).ReplaceAllString(types.Value, "")
			types.Value = regexp.MustCompile(`case encrypted_extensions: (\w+) (\w+);`).ReplaceAllString(types.Value, "case encrypted_extensions: ${1} ${2}<0..2^16-1>; ${1} "+field+"<0..2^16-1>;")
			s.del("extensions", ext, "certificate_request")
			s.set("{server: [client_hello], client: [encrypted_extensions]}", "extensions", ext, "certificate", "offered_by")
			s.set("encrypted_extensions."+ext+"."+field, "bind", "slots", slot, "choice")
			s.set("{client_authentication: true, choice: carried_over}", "after", "post_handshake")
			s.set("certificate_request", "negotiation", "answer", "client_choice_needs")
			s.del("switches", "pha_choice")
			s.set("experiment", "accepted_flaws", "element_bound")
			return true
		}
		return false
	}},
	{"the payload in an extension of its own", func(s *sketch) bool {
		if !s.has("bind", "credentials", "x509") || s.has("extensions", "carrier") {
			return false
		}
		old := strings.Split(s.value("bind", "credentials", "x509", "carried_in"), ".")
		if old[0] != "certificate" || len(old) < 2 {
			return false
		}
		s.set("0xFF77", "code_points", "extensions", "carrier")
		s.get("types").Value += "\nstruct { opaque cmw_carried<1..2^16-1>; } Carrier;\n"
		offers := s.get("extensions", old[1], "certificate")
		copied, _ := yaml.Marshal(child(offers, "offered_by"))
		offeredBy := strings.TrimSpace(string(copied))
		qualified := regexp.MustCompile(`\b(client_hello|encrypted_extensions|certificate_request)\b(\.?)`).ReplaceAllStringFunc(offeredBy, func(m string) string {
			if strings.HasSuffix(m, ".") {
				return m
			}
			return m + "." + old[1]
		})
		if strings.Contains(qualified, "$") {
			return false
		}
		s.set("{body: Carrier, certificate: {entries: first, also_in: [post_handshake]}}", "extensions", "carrier")
		s.set(qualified, "extensions", "carrier", "certificate", "offered_by")
		s.del("extensions", old[1], "certificate")
		s.set("certificate.carrier.cmw_carried", "bind", "credentials", "x509", "carried_in")
		s.set("experiment", "accepted_flaws", "payload_bound")
		s.set("experiment", "accepted_flaws", "answer_not_offered")
		return true
	}},
	{"other inputs of the binder", func(s *sketch) bool {
		changed := false
		for _, k := range s.keys("binder", "challenge") {
			v := s.value("binder", "challenge", k)
			if v == "none" || strings.Contains(v, "$") {
				continue
			}
			more := []string{`"more"`, "hash(CH..SH)", "hash(CH..CH)", "zero", "0xc0ffee"}
			if strings.HasSuffix(k, "/x509") {
				more = append(more, "spki(role)", "certificate(role)", "point(role)")
			}
			s.set(fmt.Sprintf("'hash(concat(%s, %s))'", v, s.pick(more...)), "binder", "challenge", k)
			changed = true
		}
		return changed
	}},
	{"another reading of a switch", func(s *sketch) bool {
		sw := s.pick(s.keys("switches")...)
		var options []string
		for _, k := range s.keys("switches", sw) {
			// A whole certificate as the context of an HkdfLabel fits in no ordinary case.
			if k != "amb" && k != "why" && k != "default" && s.value("switches", sw, k) != "certificate(role)" {
				options = append(options, k)
			}
		}
		if len(options) == 0 {
			return false
		}
		s.set(s.pick(options...), "switches", sw, "default")
		return true
	}},
	{"another transcript", func(s *sketch) bool {
		return s.override(s.pick("rfc8446", "ch1_sh", "as_sent", "ch2_sh"), "binder", "transcript")
	}},
	{"another order of choice", func(s *sketch) bool {
		return s.override(s.pick("client", "server"), "negotiation", "choose", "order")
	}},
	{"another moment of the verdict", func(s *sketch) bool {
		return s.override(s.pick("certificate_verify", "finished", "application_data"), "negotiation", "verdict", "before")
	}},
	{"other rules of the offer", func(s *sketch) bool {
		s.set(s.pick("omit", "empty_list"), "negotiation", "offer", "when_empty")
		s.set(s.pick("0", "1"), "negotiation", "offer", "at_least")
		return true
	}},
	{"other rules where nothing is in common", func(s *sketch) bool {
		if s.has("negotiation", "no_scheme", "null_choice") {
			return false
		}
		s.set(s.pick("{scope: all, then: abort}", "{scope: slot, then: abort}", "{scope: all, then: omit}", "{scope: model, then: abort}"), "negotiation", "no_scheme")
		return true
	}},
	{"an unwilling server", func(s *sketch) bool {
		s.set(s.pick("omit", "abort"), "negotiation", "unwilling")
		s.set(s.pick("continue", "abort"), "negotiation", "answer", "none")
		return true
	}},
	{"other alerts", func(s *sketch) bool {
		for _, k := range []string{"missing", "binder_mismatch", "appraisal_failed", "not_chosen", "misplaced", "nonce_size", "malformed_extension"} {
			if s.r.IntN(2) == 0 {
				s.set(s.pick("access_denied", "decode_error", "bad_certificate", "illegal_parameter", "close", "certificate_unknown"), "alerts", k)
			}
		}
		return true
	}},
	{"another fit of the challenge", func(s *sketch) bool {
		return s.override(s.pick("pad_right", "pad_left", "sha512"), "binder", "hand_over", "fit")
	}},
	{"the payload in any entry", func(s *sketch) bool {
		for _, ext := range s.keys("extensions") {
			if s.has("extensions", ext, "certificate") {
				s.set(s.pick("any", "first"), "extensions", ext, "certificate", "entries")
				return true
			}
		}
		return false
	}},
	{"other quirks", func(s *sketch) bool {
		s.set(s.pick("{pad_to: 64}", "{messages_per_record: 1}", "{no_ccs: true}", "{never_fragment: true}", "{empty_session_id: true}",
			"{signature_encoding: {server: raw}}", "{never_send: [new_session_ticket]}", "{signature_schemes: {client: [ecdsa_secp256r1_sha256]}}"), "quirks")
		return true
	}},
	{"other rules of resumption", func(s *sketch) bool {
		s.set(s.pick("{accept: never, tickets: never}", "{accept: within_validity, tickets: within_validity, early_data: never}", "{accept: unless_due, refused: abort}", "{received_tickets: discard}"), "after", "resumption")
		return true
	}},
	{"no attestation after the handshake", func(s *sketch) bool {
		if !s.has("after", "post_handshake") {
			return false
		}
		s.set("{client_authentication: false}", "after", "post_handshake")
		return true
	}},
	{"answers that nothing need offer", func(s *sketch) bool {
		for _, ext := range s.keys("extensions") {
			if s.has("extensions", ext, "encrypted_extensions") {
				s.set("any", "extensions", ext, "encrypted_extensions", "offered_by")
				return true
			}
		}
		return false
	}},
	{"octets that are ignored", func(s *sketch) bool {
		ext := s.pick(s.keys("extensions")...)
		for _, m := range []string{"certificate", "encrypted_extensions", "client_hello"} {
			if s.has("extensions", ext, m) && s.get("extensions", ext, m).Kind == yaml.MappingNode {
				s.set("ignore", "extensions", ext, m, "trailing_octets")
				return true
			}
		}
		return false
	}},
}

func (s *sketch) hasNonce() bool {
	return slices.ContainsFunc(s.keys("bind", "slots"), func(slot string) bool { return s.has("bind", "slots", slot, "nonce") })
}

// addNonce gives every slot a nonce and binds it.
func (s *sketch) addNonce(own bool) bool {
	if s.hasNonce() {
		return false
	}
	for _, slot := range s.keys("bind", "slots") {
		key := "choice"
		if s.value("bind", "slots", slot, "attester") == "server" {
			key = "offer"
		}
		message, ext, _ := s.path(slot, key)
		name := "nonce_" + slot
		if own {
			if !s.freshNonce(slot) {
				return false
			}
			continue
		}
		if !s.addField(s.bodyOf(ext, message), message, "opaque "+name+"<8..64>;") {
			return false
		}
		s.set(message+"."+ext+"."+name, "bind", "slots", slot, "nonce")
	}
	bound := false
	for _, k := range s.keys("binder", "challenge") {
		if v := s.value("binder", "challenge", k); v != "none" && !strings.Contains(v, "$") {
			s.set(fmt.Sprintf("'hash(concat(%s, nonce(role)))'", v), "binder", "challenge", k)
			bound = true
		}
	}
	return bound
}

// freshNonce puts the nonce of a slot into an extension of its own.
func (s *sketch) freshNonce(slot string) bool {
	_, offer, _ := s.path(slot, "offer")
	name := "fresh_" + slot
	if s.has("extensions", name) || offer == "" {
		return false
	}
	if !strings.Contains(s.value("types"), "} FreshNonce;") {
		s.get("types").Value += "\nstruct { opaque fresh<8..64>; } FreshNonce;\n"
	}
	s.set(fmt.Sprintf("0x%X", 0xff90+len(s.keys("extensions"))), "code_points", "extensions", name)
	place := "client_hello: {}"
	message := "client_hello"
	if s.value("bind", "slots", slot, "attester") == "client" {
		message = s.pick("server_hello", "encrypted_extensions", "certificate_request")
		place = message + ": {offered_by: [client_hello." + offer + "]}"
		if message == "certificate_request" {
			place = message + ": {also_in: [post_handshake]}"
		} else {
			s.set("experiment", "accepted_flaws", "answer_not_offered")
		}
	}
	s.set("{body: FreshNonce, "+place+"}", "extensions", name)
	s.set(message+"."+name+".fresh", "bind", "slots", slot, "nonce")
	return true
}

// editedSeeds are how many profiles TestEdits makes; ATTLS_EDITS says another number.
const editedSeeds = 30

// TestEdits makes seeded, well-formed changes of the embedded profiles. Whatever the
// loader accepts works: each case of the grid ends as the grid says.
func TestEdits(t *testing.T) {
	count := editedSeeds
	if raceDetector {
		count /= 10 // it runs in one goroutine
	}
	if n, err := strconv.Atoi(os.Getenv("ATTLS_EDITS")); err == nil {
		count = n
	}
	first, _ := strconv.Atoi(os.Getenv("ATTLS_EDITS_FROM"))
	dir := t.TempDir()
	loaded, cases, kinds := 0, 0, map[string]int{}
	for seed := first; seed < first+count; seed++ {
		s := editedProfile(t, uint64(seed))
		text := s.text()
		if profile.LintText("edited.yaml", []byte(text)).Err() != nil {
			if os.Getenv("ATTLS_EDITS_VERBOSE") != "" {
				t.Logf("%d %v:\n%v", seed, s.did, profile.LintText("edited.yaml", []byte(text)).Err())
			}
			continue
		}
		loaded++
		for _, name := range s.did {
			kinds[name]++
		}
		if os.Getenv("ATTLS_EDITS_VERBOSE") == "text" {
			t.Log(text)
		}
		file := filepath.Join(dir, fmt.Sprintf("edited-%d.yaml", seed))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := All().Grid(scenario.Scenario{Profile: file})
		if err != nil {
			t.Errorf("seed %d, %v: %v", seed, s.did, err)
			continue
		}
		cases += len(list)
		for _, r := range All().RunGrid(context.Background(), list, 2, nil) {
			if r.Error != "" {
				t.Errorf("seed %d, %v:\n%v: %s", seed, s.did, &r.GridCase, r.Error)
			}
		}
	}
	t.Logf("%d of %d pass the linter; %d cases; %v", loaded, count, cases, kinds)
	if 2*loaded < count {
		t.Errorf("%d of %d pass the linter", loaded, count)
	}
	if count >= 1000 && len(kinds) < len(editKinds)-1 {
		t.Errorf("%d kinds of %d passed", len(kinds), len(editKinds))
	}
}

// editedProfile makes the profile of a seed: one to three changes of an embedded one.
func editedProfile(t *testing.T, seed uint64) *sketch {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 11))
	p := load(t, distinct[r.IntN(len(distinct))])
	s, err := newSketch(p, r)
	if err != nil {
		t.Fatal(err)
	}
	s.did = append(s.did, p.ID)
	for want := 1 + r.IntN(3); want > 0; want-- {
		for range 20 {
			e := editKinds[(int(seed)+r.IntN(len(editKinds)))%len(editKinds)]
			before, _ := yaml.Marshal(s.root)
			if e.do(s) {
				s.did = append(s.did, e.name)
				break
			}
			var n yaml.Node // half of an edit is none
			if err := yaml.Unmarshal(before, &n); err != nil {
				t.Fatal(errors.Join(err, errors.New(string(before))))
			}
			s.root = n.Content[0]
		}
	}
	s.tidy()
	return s
}

// tidy takes the switches out that nothing names any more, as their author would.
func (s *sketch) tidy() {
	for _, name := range s.keys("switches") {
		rest := strings.Split(s.text(), "\nswitches:")[0]
		if !regexp.MustCompile(`\$` + name + `\b`).MatchString(rest) {
			s.del("switches", name)
		}
	}
	if len(s.keys("switches")) == 0 {
		s.del("switches")
	}
}
