package lab

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"attls"
	"attls/conformance/pair"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/negotiation"
)

// Data that honest ends write, and M.
const (
	honestData   = "What an honest end writes.\n"
	attackerData = "What the attacker writes.\n"
)

// honestEnd is the configuration of an honest party in a connection, and what answers its
// waits.
func (r *run) honestEnd(c *connection, role attls.Role) (*handshake.Config, *handshake.Answerer, error) {
	p := c.profile
	if readings := r.reading(role); len(readings) > 0 {
		var err error
		if p, err = r.read(readings); err != nil {
			return nil, nil, err
		}
	}
	random := r.random(c, role)
	random.nonce = r.setting(role, "nonce").Text == "constant"
	config := &handshake.Config{Profile: p, CanAuthenticate: true, Random: random, Tap: c.taps[role]}
	platform := 0
	if role == r.combo.role {
		platform = c.platform
	}
	name := "client.example"
	if role == attls.RoleServer {
		name = honestName
		config.Retry.Always = r.setting(role, "hello_retry").Text == "yes"
	} else {
		config.ServerName = honestName
		if !c.forwarded() && r.setting(role, "connects_to").Text == "attacker" {
			config.ServerName = ownName
		}
	}
	if r.setting(role, "name").Text == "other" {
		name = otherName
	}
	if r.setting(role, "post_handshake").Text == "yes" {
		config.PostHandshakeAuthentication = true
	}
	if r.setting(role, "key_update").Text == "extended" {
		config.ExtendedKeyUpdate = &handshake.ExtendedKeyUpdate{}
	}
	key := r.w.keys[r.keyName(role, platform)]
	credential, err := r.w.certified(key, name, r.setting(role, "certificate").Text == "self_signed")
	if err != nil {
		return nil, nil, err
	}
	if r.setting(role, "key").Text == "rsa" {
		k, err := r.w.rsa()
		if err != nil {
			return nil, nil, err
		}
		if credential, err = r.w.certified(k, name, false); err != nil {
			return nil, nil, err
		}
	}
	a := &handshake.Answerer{Credentials: []*handshake.Credential{credential}, Sequential: true,
		Trust: handshake.Trust{Roots: r.w.authority.Pool(), AcceptAttested: true, Time: r.w.clock},
		Time:  r.w.clock, Timeouts: map[handshake.WaitKind]time.Duration{handshake.WaitNonce: 0,
			handshake.WaitEvidence: 0, handshake.WaitAppraisal: 0}}
	if r.setting(role, "resumption").Text == "yes" {
		config.PSK, config.Tickets = true, 1
		a.ServerSessions, a.ClientSessions = r.servers, r.clients
	}
	if r.setting(role, "early_data").Text == "yes" {
		config.MaxEarlyData = maxEarlyData
	}
	if r.setting(role, "psk").Text == "external" {
		config.PSK = true
		a.ServerSessions = &handshake.ServerSessions{Keys: handshake.TicketKeys{Now: r.w.clock}, External: externalKey}
		a.ClientSessions = &handshake.ClientSessions{Now: r.w.clock, External: externalKey}
	}
	if r.attests(role) {
		a.Attester = &honestAttester{r.w, platform, key}
		if !later(p, role) {
			config.Policy.Produce = []negotiation.Scheme{scheme(p, &r.combo)}
		}
		config.AttesterSize = challengeSize
	}
	if r.attests(role.Peer()) {
		if !later(p, role.Peer()) {
			config.Policy.Accept = []negotiation.Scheme{scheme(p, &r.combo)}
			config.Policy.Demand = r.setting(role, "demand").Text != "no" && !r.w.lax.is(LaxAbsent)
		}
		config.AppraiserSize = challengeSize
		a.Appraiser = &honestAppraiser{w: r.w, other: func() []byte { return r.otherChallenge(c, role) }}
	}
	return config, a, nil
}

// maxEarlyData is what ends take of early data where a script has it, in octets.
const maxEarlyData = 1 << 14

// externalKey is a key that the honest ends have agreed on in another way.
var externalKey = []*handshake.Session{{Identity: []byte("laboratory"),
	Secret: []byte("a key of both honest ends, 32 oct"), External: true, Suite: attls.TLS_AES_128_GCM_SHA256}}

// reading is how a party alone reads the text.
func (r *run) reading(role attls.Role) map[string]string {
	for i := len(r.parties) - 1; i >= 0; i-- {
		if v, ok := r.parties[i][role.String()]["reading"]; ok {
			return v.Map
		}
	}
	return nil
}

// challengeSize is what a challenge has where a profile leaves it to the Attester, in octets.
const challengeSize = 32

// read is the profile under other readings.
func (r *run) read(readings map[string]string) (*profile.Profile, error) {
	chosen := map[string]string{}
	for name, want := range readings {
		list := readingsOf(r.profile, name)
		if n, err := strconv.Atoi(want); err == nil {
			if n < 1 || n > len(list) {
				return nil, errNoReading
			}
			want = list[n-1]
		}
		chosen[name] = want
	}
	return under(r.profile, chosen)
}

var errNoReading = fmt.Errorf("the switch has no such reading")

// otherChallenge is the challenge that the other role would have at an end.
func (r *run) otherChallenge(c *connection, role attls.Role) []byte {
	name := r.combo.challenge(r.profile)
	if name == "" || later(r.profile, r.combo.role) || c.pair.Engine(role) == nil {
		return nil
	}
	b, err := r.profile.Binder.Program.Eval(name, role, c.pair.Engine(role).Inputs())
	if err != nil {
		return nil
	}
	return b
}

// under gives a connection the profile that a step names.
func (r *run) under(s *Step, c *connection) (bool, error) {
	name := s.With["profile"].Text
	if name == "" {
		return true, nil
	}
	p, err := profile.Load(name, profile.Options{})
	if err != nil {
		return false, err
	}
	c.profile = p
	if reason := scenario.Forbidden(p, r.combo.Attester, r.combo.model, r.combo.kind); reason != "" {
		r.waiting[indexOf(r.steps, s)] = reason
		return false, nil
	}
	return true, nil
}

// begin makes both engines of a connection.
func (r *run) begin(c *connection, configs [2]*handshake.Config, data [2]string) error {
	c.configs, c.data, c.exported = configs, data, r.exchanges(c.profile)
	for role, config := range configs {
		if c.profiles[role] = config.Profile; config.Profile == nil {
			c.profiles[role] = c.profile
		}
	}
	if c.exported { // which comes before application data
		data = [2]string{}
	}
	var outside [2]pair.Outside
	for _, role := range attls.Roles() {
		if !c.honest[role] || r.stacks[role] == nil {
			continue
		}
		o, err := r.program(r.ctx, c, role, configs[role], c.answer[role])
		if err != nil {
			return err
		}
		c.outside[role], outside[role] = o, o
	}
	p, err := pair.New(pair.Options{Client: configs[attls.RoleClient], Server: configs[attls.RoleServer], Outside: outside,
		Send:     [2][]byte{[]byte(data[0]), []byte(data[1])},
		KeepWire: true, MaxSteps: maxPairSteps})
	if err != nil {
		return err
	}
	c.pair = p
	r.conns = append(r.conns, c)
	return nil
}

func (r *run) connection(name string, party attls.Role) *connection {
	c := &connection{name: name, party: party, presents: map[int]*Step{}, platform: r.w.platform, profile: r.profile}
	for _, role := range attls.Roles() {
		c.taps[role] = &tap{r: r, c: c, role: role, secrets: map[handshake.SecretName][]byte{},
			replace: map[attls.MessageKind][]byte{}}
	}
	return c
}

// open makes a connection between M and an honest party.
func (r *run) open(s *Step) (bool, error) {
	party := r.role(s.On)
	c := r.connection(s.connection(), party)
	c.honest[party] = true
	c.certified = s.With["shows"].Text == "certified"
	if ok, err := r.under(s, c); !ok {
		return false, err
	}
	config, answerer, err := r.honestEnd(c, party)
	if err != nil {
		return false, err
	}
	c.answer[party] = answerer
	mine := c.mine()
	random := r.random(c, mine)
	if x := r.knowledge[s.With["random"].Text]; x != nil {
		random.random = x.octets
		r.copies(c, attls.KindClientHello, "copied random: "+s.With["random"].Text)
	}
	own := &handshake.Config{Profile: c.profile, CanAuthenticate: true, Random: random, Tap: c.taps[mine],
		PostHandshakeAuthentication: config.PostHandshakeAuthentication, ExtendedKeyUpdate: config.ExtendedKeyUpdate}
	if mine == attls.RoleClient {
		own.ServerName = honestName
	}
	if s.With["attest"].Text == "no" {
		if c.profile.Rules.OfferAtLeast > 0 { // without an offer M speaks plain TLS
			own.Profile = nil
		}
	} else {
		c.attest = r.attests(party)
		if (r.attests(mine) || party == r.combo.role.Peer()) && !later(c.profile, mine) {
			own.Policy.Produce = []negotiation.Scheme{scheme(c.profile, &r.combo)}
			own.AttesterSize = challengeSize
		}
		if r.attests(party) && !later(c.profile, party) {
			own.Policy.Accept = []negotiation.Scheme{scheme(c.profile, &r.combo)}
			own.AppraiserSize = challengeSize
		}
	}
	if x := r.knowledge[s.With["hello"].Text]; x != nil {
		c.taps[mine].replace[attls.KindClientHello] = x.octets
		r.copies(c, attls.KindClientHello, "copied whole: "+s.With["hello"].Text)
	}
	c.request = r.knowledge[s.With["request"].Text]
	if x := r.knowledge[s.With["nonce"].Text]; x != nil {
		c.nonce = x
		if !x.absent {
			r.copies(c, r.nonceIn(), "copied nonce: "+s.With["nonce"].Text)
		}
	}
	if s.With["secret"].Text == "hs" {
		c.taps[mine].derive = func(name handshake.SecretName) []byte {
			if name != handshake.SecretHandshake {
				return nil
			}
			return r.handshakeSecret()
		}
	}
	configs, data := [2]*handshake.Config{}, [2]string{}
	configs[party], configs[mine], data[party], data[mine] = config, own, honestData, attackerData
	return true, r.begin(c, configs, data)
}

// handshakeSecret is the one of the honest ends: what an honest server has derived last.
func (r *run) handshakeSecret() []byte {
	for i := len(r.conns) - 1; i >= 0; i-- {
		if c := r.conns[i]; c.honest[attls.RoleServer] {
			if o := c.outside[attls.RoleServer]; o != nil {
				return o.handshakeSecret()
			}
			if b := c.taps[attls.RoleServer].secrets[handshake.SecretHandshake]; b != nil {
				return b
			}
		}
	}
	return nil
}

// forward joins the honest parties, whose octets M passes on, with changes of what is in
// the clear.
func (r *run) forward(s *Step) (bool, error) {
	c := r.connection(s.connection(), attls.RoleClient)
	c.honest = [2]bool{true, true}
	if s.With["to"].Text == "2" {
		c.platform = 1
	}
	c.hold = s.With["hold"].Text != ""
	var configs [2]*handshake.Config
	for _, role := range attls.Roles() {
		config, answerer, err := r.honestEnd(c, role)
		if err != nil {
			return false, err
		}
		configs[role], c.answer[role] = config, answerer
	}
	if err := r.onPath(c, s); err != nil {
		return false, err
	}
	return true, r.begin(c, configs, [2]string{honestData, honestData})
}

// onPath changes ClientHello between the honest parties: the client's own transcript keeps
// what it sent.
func (r *run) onPath(c *connection, s *Step) error {
	var edits []handshake.Tap
	for _, path := range sortedKeys(s.With["set"].Map) {
		text := s.With["set"].Map[path]
		edit, err := tamper.Field(r.profile, path, func([]byte) []byte { return []byte(text) })
		if err != nil {
			return err
		}
		edits = append(edits, edit)
	}
	if what := s.With["drop"].Text; what != "" {
		name := what
		if what == "offer" {
			if name = offerName(r.profile, &r.combo); name == "" {
				return fmt.Errorf("ClientHello has no offer to drop")
			}
		}
		t, ok := r.extension(name)
		if !ok {
			return fmt.Errorf("no extension is called %q", name)
		}
		edits = append(edits, tamper.Extensions(attls.KindClientHello, 0, tamper.Remove(t)))
	}
	if len(edits) == 0 {
		return nil
	}
	all := handshake.Taps(edits...)
	c.taps[attls.RoleClient].edit = func(m *message.Raw, p *handshake.Plan) {
		if m.Kind != attls.KindClientHello {
			return
		}
		all.Message(handshake.Sent, m, p)
		p.Reparse, p.Rebind, p.TranscriptOriginal = false, false, true
	}
	r.copies(c, attls.KindClientHello, "changed on the path")
	return nil
}

func (r *run) extension(name string) (attls.ExtensionType, bool) {
	for i := range r.profile.Extensions {
		if r.profile.Extensions[i].Name == name {
			return r.profile.Extensions[i].Type, true
		}
	}
	return attls.ExtensionByName(name)
}

// nonceIn is the message that has the nonce for the attester.
func (r *run) nonceIn() attls.MessageKind {
	if later(r.profile, r.combo.role) {
		if r.combo.role == attls.RoleServer {
			return attls.KindClientCertificateRequest
		}
		return attls.KindCertificateRequest
	}
	for i := range r.profile.Slots {
		if s := &r.profile.Slots[i]; r.combo.slot(s) && s.Nonce.Message != attls.KindNone {
			return s.Nonce.Message
		}
	}
	return attls.KindClientHello
}

// kindOf are the messages that can be taken whole.
var kindOf = map[string]attls.MessageKind{"client_hello": attls.KindClientHello, "server_hello": attls.KindServerHello,
	"encrypted_extensions": attls.KindEncryptedExtensions, "certificate_request": attls.KindCertificateRequest,
	"certificate_message": attls.KindCertificate, "certificate_verify": attls.KindCertificateVerify,
	"finished": attls.KindFinished}

// take adds to M's knowledge what it can see of a connection.
func (r *run) take(s *Step) (bool, error) {
	c := r.connectionNamed(s.With["from"].Text)
	i := indexOf(r.steps, s)
	if c == nil {
		r.waiting[i] = fmt.Sprintf("the connection %s does not exist yet", s.With["from"].Text)
		return false, nil
	}
	r.waiting[i] = fmt.Sprintf("nothing of the kind has come on the connection %s", c.name)
	at := c.mine() // whose view M has: its own end, or with a secret what the receiver has
	if c.forwarded() {
		at = r.combo.role.Peer()
		if c.outside[at] != nil {
			at = r.combo.role
		}
	}
	e, t, of := c.pair.Engine(at), c.taps[at], r.combo.role
	if who := s.With["of"].Text; who != "" {
		of = r.role(who)
	}
	switch s.On {
	case "nonce":
		if !predicates["nonce"].holds(r.profile, &r.combo) {
			r.learn(s, &item{absent: true})
			return true, nil
		}
		if c.exported && later(c.profile, r.combo.role) {
			return r.takeContext(s, c, at)
		}
		b, ok := e.Inputs().Nonce(r.combo.role)
		if ok {
			r.learn(s, &item{origin: "seen", octets: b})
		}
		return ok, nil
	case "random":
		b := t.find(attls.KindClientHello)
		if len(b) < 38 {
			return false, nil
		}
		r.learn(s, &item{origin: "seen", octets: b[6:38]})
		return true, nil
	case "certificate":
		chain := c.chain(at, of)
		if len(chain) > 0 && s.With["only"].Text == "end_entity" {
			chain = chain[:1]
		}
		if r.combo.kind == profile.KindAlone && c.payload(at, of) != nil {
			r.learn(s, &item{absent: true})
			return true, nil
		}
		if len(chain) > 0 {
			r.learn(s, &item{origin: "seen", chain: chain})
		}
		return len(chain) > 0, nil
	case "evidence":
		b := c.payload(at, of)
		if b != nil {
			r.learn(s, &item{origin: "seen", octets: b})
		}
		return b != nil, nil
	case "application_data":
		b := c.received(at)
		if len(b) > 0 {
			r.learn(s, &item{origin: "seen", octets: b})
		}
		return len(b) > 0, nil
	}
	b := t.find(kindOf[s.On])
	if s.On == "request" || s.On == "authenticator" {
		b = c.exchanged(at, s.On)
	}
	if b != nil {
		r.learn(s, &item{origin: "seen", octets: b})
	}
	return b != nil, nil
}

// payload is what an attester has shown to an end.
func payload(e *handshake.Engine, attester attls.Role) []byte {
	for _, a := range e.State().Attestation {
		if a.Attester == attester && a.Payload != nil {
			return a.Payload
		}
	}
	return nil
}

// make adds to M's knowledge what M makes.
func (r *run) make(s *Step) (bool, error) {
	key := r.w.keys[ownKey]
	if s.With["key"].Text == tikKey {
		key = r.tik()
	}
	if s.On == "certificate" && s.With["by"].Text == "attester" {
		name := honestName // the attester's own, which is no secret
		if r.combo.role == attls.RoleClient {
			name = "client.example"
		}
		c, err := r.w.certified(r.tik(), name, false)
		if err != nil {
			return false, err
		}
		r.learn(s, &item{origin: "seen", chain: c.Chain})
		return true, nil
	}
	if s.On == "certificate" {
		name := honestName
		c, err := r.w.certified(key, name, s.With["by"].Text == "self")
		if err != nil {
			return false, err
		}
		if r.combo.role == attls.RoleClient {
			c, err = r.w.certified(key, "client.example", s.With["by"].Text == "self")
			if err != nil {
				return false, err
			}
		}
		r.learn(s, &item{origin: "made", chain: c.Chain, signer: key, issuer: c.Issuer, self: true})
		return true, nil
	}
	platform := r.w.platform
	switch s.With["by"].Text {
	case "tee2":
		platform = 1 - r.w.platform
	case "nobody":
		platform = 2
	}
	names, part, token := s.With["names"].Text, s.With["challenge"].Text, s.With["token"].Text
	r.learn(s, &item{origin: "made", signer: key,
		attest: func(ctx context.Context, q *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
			asked := *q
			if names == tikKey && q.SPKI != nil {
				spki, err := handshake.MarshalPublicKey(r.tik().Public())
				if err != nil {
					return nil, err
				}
				asked.SPKI = spki
			}
			if part == "beginning" {
				asked.Challenge = beginning(q.Challenge)
			}
			d := r.w.device(platform, key)
			if token == "made_up" { // M's, of which the TEE signs the hash alone
				d.KeyAttestationKey = r.w.keys[ownKey]
			}
			ev, err := d.Attest(ctx, &asked)
			return r.w.lax.wrap(ev, q), err
		}})
	return true, nil
}

// present says what M shows on a connection.
func (r *run) present(s *Step) (bool, error) {
	c := r.connectionNamed(s.On)
	if c == nil || c.presents[c.round] != nil {
		r.waiting[indexOf(r.steps, s)] = "the connection " + s.On + " is not there yet"
		return false, nil
	}
	for _, name := range s.With["messages"].names() {
		x := r.knowledge[name]
		m, err := message.ParseRaw(x.octets)
		if err != nil {
			return false, err
		}
		c.taps[c.mine()].replace[m.Kind] = x.octets
		r.copies(c, m.Kind, "copied whole: "+name)
	}
	if x := r.knowledge[s.With["nonce"].Text]; x != nil {
		c.nonce = x
	}
	for _, option := range []string{"certificate", "evidence", "nonce"} {
		x := r.knowledge[s.With[option].Text]
		if x == nil || x.absent || x.origin != "seen" {
			continue
		}
		into := attls.KindCertificate
		if option == "nonce" {
			into = r.nonceIn()
		}
		r.copies(c, into, "copied "+option+": "+s.With[option].Text)
	}
	if s.With["sign"].Text == tikKey {
		r.copies(c, attls.KindCertificateVerify, "signed with the leaked key")
	}
	c.presents[c.round] = s
	return true, nil
}

// request has an honest party ask for something after the handshake.
func (r *run) request(s *Step) (bool, error) {
	i := indexOf(r.steps, s)
	c := r.connectionNamed(s.With["from"].Text)
	if c == nil {
		return false, nil
	}
	role := c.party
	if c.forwarded() {
		role = r.combo.role.Peer()
	}
	if by := s.With["by"].Text; by != "" {
		role = r.role(by)
	}
	e := c.pair.Engine(role)
	if !e.Done() || c.failure(role) != nil {
		r.waiting[i] = "the handshake of the connection " + c.name + " is not complete"
		return false, nil
	}
	var err error
	switch s.On {
	case "authentication":
		if err = r.askAgain(c, role); err == nil {
			c.round++
			r.asked++
		}
	case "key_update":
		err = e.KeyUpdate(true)
	case "extended_key_update":
		err = e.ExtendedKeyUpdate()
	case "data":
		err = r.write(c, role, honestData)
	}
	if err != nil {
		r.waiting[i] = err.Error()
		return false, nil
	}
	return true, nil
}

// happen changes the world.
func (r *run) happen(s *Step) (bool, error) {
	switch s.On {
	case "platform_degraded":
		r.w.degraded = true
	case "platform_restored":
		r.w.degraded = false
	case "reference_revoked":
		r.w.revoked = true
	case "second_reference_revoked":
		r.w.secondRevoked = true
	case "two_hours_pass":
		r.w.now = r.w.now.Add(2 * time.Hour)
	}
	r.note(s, happenings[s.On])
	return true, nil
}

// takeOver puts M, which knows the traffic secrets of a connection that it has forwarded, in
// the place of the attester: the state of that end is M's from here on. Without the secrets,
// what M sends cannot be read.
func (r *run) takeOver(s *Step) (bool, error) {
	c, i := r.connectionNamed(s.On), indexOf(r.steps, s)
	relying := r.combo.role.Peer()
	if c == nil || !c.forwarded() || !c.pair.Engine(relying).Done() || c.failure(relying) != nil {
		r.waiting[i] = "the handshake of the connection " + s.On + " is not complete"
		return false, nil
	}
	if s.With["secret"].Text == "none" {
		c.pair.Inject(relying, append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...))
		return true, nil
	}
	c.party, c.honest[r.combo.role], c.hold = relying, false, false
	c.taken = len(c.received(relying))
	return true, nil
}

// leave abandons a connection.
func (r *run) leave(s *Step) (bool, error) {
	c := r.connectionNamed(s.On)
	if c != nil {
		c.over = true
	}
	return c != nil, nil
}

func indexOf(steps []*Step, s *Step) int {
	for i := range steps {
		if steps[i] == s {
			return i
		}
	}
	return 0
}
