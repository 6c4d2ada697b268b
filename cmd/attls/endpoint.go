package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"attls"
	"attls/attestation"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/conformance/trace"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/exported"
	"attls/internal/gate"
	"attls/internal/private"
	"attls/negotiation"
)

// noProfile is the profile name that means plain TLS 1.3.
const noProfile = "none"

// endpointFlags are what server and client have in common.
type endpointFlags struct {
	role       attls.Role
	context    context.Context // of the command, for devices
	profile    profileFlags
	scheme     schemeFlags
	session    sessionFlags
	credential credentialFlags

	ca                                string
	verify                            string
	alpn, groups, suites, sigalgs     []string
	serverName                        string
	keyLog, pcap                      string
	messages, asJSON, quiet           bool
	binderInputs                      bool
	require                           bool
	attesterCommand, appraiserCommand string
	later                             laterFlags
	roots                             rootFiles
	noMiddlebox                       bool
	recordSizeLimit                   uint16
	padTo                             int
	timeout, idle                     time.Duration
	tolerate                          bool
}

func (f *endpointFlags) register(c *cobra.Command) {
	f.profile.register(c, defaultProfile)
	f.scheme.register(c)
	f.session.register(c, f.role)
	f.credential.register(c, f.role)
	flags := c.Flags()
	flags.StringVar(&f.ca, "ca", "",
		"PEM file with the trust anchors for the peer's certificate (default: the demonstration authority)")
	flags.StringSliceVar(&f.alpn, "alpn", nil, "application protocols, in order of preference")
	flags.StringSliceVar(&f.groups, "groups", nil,
		"key exchange groups, in order of preference (x25519, secp256r1, X25519MLKEM768, …)")
	flags.StringSliceVar(&f.suites, "suites", nil, "cipher suites, in order of preference")
	flags.StringSliceVar(&f.sigalgs, "sigalgs", nil, "signature schemes accepted of the peer, in order of preference")
	flags.StringVar(&f.serverName, "servername", "",
		"a client: the name asked for and verified (default: the host); a server: the name of the demonstration certificate")
	flags.StringVar(&f.keyLog, "keylog", "",
		"append secrets to this file in the NSS key log format (default: $SSLKEYLOGFILE)")
	flags.StringVar(&f.pcap, "pcap", "",
		"write connections to this pcapng file with their secrets, for attls decode, Wireshark and tshark")
	flags.BoolVar(&f.messages, "msg", false, "print every message with a hexadecimal dump to standard error")
	flags.BoolVar(&f.asJSON, "json", false,
		"print one line of claims per connection to standard output; received data is counted only")
	flags.BoolVar(&f.binderInputs, "binder-inputs", false,
		`with --json: put into the claims what binders are computed from, secrets included, `+
			`for "attls profile explain --from-claims"`)
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "print no summary of connections")
	flags.BoolVar(&f.require, "require-attestation", false, "fail unless the peer attests")
	flags.StringVar(&f.attesterCommand, "attester-cmd", "",
		"program that makes our Evidence (default: the software root of trust)")
	flags.StringVar(&f.appraiserCommand, "appraiser-cmd", "",
		"program that judges the peer's Evidence (default: the embedded verifier)")
	f.later.register(flags)
	f.roots.register(c, flags)
	f.roots.service.register(flags)
	f.roots.service.registerName(flags)
	flags.BoolVar(&f.noMiddlebox, "no-middlebox", false,
		"no middlebox compatibility: no session id, no change_cipher_spec")
	flags.Uint16Var(&f.recordSizeLimit, "record-size-limit", 0, "announce record_size_limit (octets)")
	flags.IntVar(&f.padTo, "pad-to", 0, "pad records to a multiple of so many octets")
	flags.DurationVar(&f.timeout, "timeout", 30*time.Second,
		"time for a handshake, for the head of an HTTP request, and for the answer to our close_notify")
	flags.DurationVar(&f.idle, "idle-timeout", 5*time.Minute,
		"end a connection on which nothing was sent or received for so long, or whose peer does not read (0: never)")
	flags.BoolVar(&f.tolerate, "tolerate-truncation", false,
		"a connection that ends without close_notify has not failed; what it brought may be cut off")
	complete(c, "groups", "x25519", "secp256r1", "secp384r1", "secp521r1", "X25519MLKEM768")
	complete(c, "suites", "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
}

// endpoint is one end, ready to make connections.
type endpoint struct {
	flags    *endpointFlags
	profile  *profile.Profile
	config   *handshake.Config
	exported *exported.Config // what this end shows and wants after the handshake; nil: nothing
	answerer *handshake.Answerer
	capture  *captureFile
	early    []byte    // a client's early data
	out      io.Writer // standard output as it is: application data, or claims
	err      io.Writer
	printing sync.Mutex // one summary at a time
	logging  *keyLogFile
	close    func() error // closes the files
}

// finish closes the files after a command that ended with err.
func (e *endpoint) finish(err error) error {
	failure := e.close()
	if err == nil {
		return unavailable(failure)
	}
	if failure != nil {
		fmt.Fprintf(e.err, "attls: %v\n", failure)
	}
	return err
}

// build makes the endpoint that the flags describe. host is the peer's, a
// client's to verify.
func (f *endpointFlags) build(c *cobra.Command, host string) (*endpoint, error) {
	f.context = c.Context()
	e := &endpoint{flags: f, out: gate.Raw(c.OutOrStdout()), err: c.ErrOrStderr(), close: func() error { return nil },
		config: &handshake.Config{ALPN: f.alpn, RecordSizeLimit: f.recordSizeLimit, PadTo: f.padTo,
			NoMiddleboxCompatibility: f.noMiddlebox}}
	e.answerer = &handshake.Answerer{Trust: handshake.Trust{}}
	for _, step := range []func(*endpoint) error{
		f.algorithms, f.attestation, f.certificate, f.fetch, f.credential.extensions,
		f.session.apply, f.logKeys, f.record} {
		if err := step(e); err != nil {
			return nil, err
		}
	}
	return e, f.trust(e, host)
}

// algorithms reads the lists of names.
func (f *endpointFlags) algorithms(e *endpoint) error {
	var err error
	if e.config.Groups, err = named(f.groups, attls.GroupByName, "group"); err != nil {
		return err
	}
	if e.config.CipherSuites, err = named(f.suites, attls.SuiteByName, "cipher suite"); err != nil {
		return err
	}
	e.config.SignatureSchemes, err = named(f.sigalgs, attls.SignatureSchemeByName, "signature scheme")
	return err
}

func named[T any](names []string, find func(string) (T, bool), what string) ([]T, error) {
	var list []T
	for _, n := range names {
		v, ok := find(n)
		if !ok {
			return nil, usage("no %s is called %q", what, n)
		}
		list = append(list, v)
	}
	return list, nil
}

// attestation loads the profile and says what this end can and wants.
func (f *endpointFlags) attestation(e *endpoint) error {
	if f.profile.name == noProfile {
		if f.require || f.scheme.attester != "" {
			return usage("plain TLS has no attestation; choose a --profile")
		}
		options := map[string]bool{"model": f.scheme.model != "", "credential": f.scheme.credential != "",
			"reading":    len(f.profile.readings) > 0,
			"code-point": len(f.profile.codePoints) > 0, "attester-cmd": f.attesterCommand != "",
			"appraiser-cmd": f.appraiserCommand != "",
			"attester-file": f.roots.attester != "", "verifier-file": f.roots.verifier != "",
			"root-of-trust": f.roots.name != "", "reattest": f.later.every.given(), "answer-last": f.later.answerLast,
			"max-requests": f.later.maxRequests != 0}
		maps.Copy(options, f.roots.service.given())
		for name, given := range options {
			if given {
				return usage("--%s does nothing in plain TLS; choose a --profile", name)
			}
		}
		return nil
	}
	s, err := f.scheme.scenario(&f.profile)
	if err != nil {
		return err
	}
	if e.profile, err = s.Load(); err != nil {
		return usage("%w", err)
	}
	if err := s.Complete(e.profile); err != nil {
		return err
	}
	e.config.Profile = e.profile
	model, err := scenario.ParseModel(s.Model)
	if err != nil {
		return err
	}
	kind, err := scenario.ParseCredential(s.Credential)
	if err != nil {
		return err
	}
	own, appraiser, format, err := f.tools(f.context)
	if err != nil {
		return err
	}
	scheme, size, err := scenario.RootScheme(e.profile, format, s.Attester, model, kind)
	if err != nil {
		return usage("%w", err)
	}
	if name := f.roots.service.name; name != "" {
		if model != profile.ModelResults {
			return usage("--verifier-name names who issues results; they are relayed with --model results")
		}
		scheme.Verifier = []byte(name)
	}
	for _, attester := range s.Attester.Roles() {
		if attester == f.role {
			e.answerer.Attester = own
		} else {
			e.answerer.Appraiser = appraiser
		}
		if scenario.InAuthenticators(e.profile, attester, model, kind) {
			e.attestLater(attester, scheme, size)
		}
		if scenario.InHandshake(e.profile, attester, model, kind) {
			e.attestInHandshake(attester, scheme, format)
		}
	}
	if f.require && !s.Attester.Has(f.role.Peer()) {
		return usage("--require-attestation, but only the %s is to attest; see --attester", s.Attester)
	}
	e.config.Policy.Demand = f.require && len(e.config.Policy.Accept) > 0
	e.config.AttesterSize, e.config.AppraiserSize = size, size
	return f.later.apply(e)
}

// attestInHandshake lets an attester attest in the handshake.
func (e *endpoint) attestInHandshake(attester attls.Role, scheme negotiation.Scheme, format *attestation.Format) {
	role, policy := e.flags.role, &e.config.Policy
	if attester != role {
		policy.Accept = []negotiation.Scheme{scheme}
		return
	}
	policy.Produce = []negotiation.Scheme{scheme}
	if role == attls.RoleServer && scheme.Model == profile.ModelEvidence && len(format.Types) > 1 {
		// It offers nothing, and chooses among what the client accepts.
		policy.Produce = format.SchemesUnder(e.profile, role, scheme.Credential)
	}
}

// checkKey refuses a key that the profile's binder cannot take before a
// connection fails over it.
func (e *endpoint) checkKey(c *handshake.Credential) error {
	if produce := e.produces(); len(produce) == 0 || produce[0].Credential != profile.KindX509 {
		return nil
	}
	spki, err := spkiOf(c)
	if err != nil {
		return usage("%w", err)
	}
	if err := e.profile.CheckKey(e.flags.role, spki); err != nil {
		return usage("%w", err)
	}
	return nil
}

// spkiOf is the key of a certificate, or a raw one, as DER SubjectPublicKeyInfo.
func spkiOf(c *handshake.Credential) ([]byte, error) {
	if c.Type != attls.CertificateX509 {
		return c.Chain[0], nil
	}
	cert, err := handshake.ParseCertificate(c.Chain[0])
	if err != nil {
		return nil, err
	}
	return cert.RawSubjectPublicKeyInfo, nil
}

// unvalidated is the profile, where it asks for no path validation of the peer's
// certificate beside its attestation; nil otherwise.
func (e *endpoint) unvalidated() *profile.Profile {
	for _, s := range e.accepts() {
		if c, ok := e.profile.Credential(s.Credential); ok && s.Credential == profile.KindX509 && !c.PKIX {
			return e.profile
		}
	}
	return nil
}

// relyOnEvidence accepts the peer on an affirming verdict that names its key, and
// on nothing else.
func (e *endpoint) relyOnEvidence() error {
	peer := e.flags.role.Peer()
	accept := e.accepts()
	if len(accept) == 0 {
		return usage("--verify evidence, but the %s is not to attest; see --profile and --attester", peer)
	}
	if accept[0].Credential == profile.KindX509 && e.unvalidated() == nil {
		return usage(
			"profile %s requires path validation in addition to the attestation (pkix: required), which --verify evidence omits",
			e.profile.ID)
	}
	e.config.Policy.Demand, e.answerer.Trust.AcceptAttested = true, true
	return nil
}

// trust says which certificates of the peer are accepted. Without --ca, a client
// trusts the demonstration authority on this machine only, and otherwise the
// system's trust anchors.
func (f *endpointFlags) trust(e *endpoint, host string) error {
	t := &e.answerer.Trust
	switch f.verify {
	case "none":
		t.InsecureSkipVerify = true
	case "optional":
		e.config.ClientAuthentication = handshake.OptionalClientCertificate
	case "require":
		if p := e.unvalidated(); p != nil {
			return usage(
				"profile %s does not require path validation in addition to the attestation of the %s (pkix: none), so --verify "+
					"require cannot be met; choose --verify evidence, or --verify none", p.ID, f.role.Peer())
		}
		if f.role == attls.RoleServer {
			e.config.ClientAuthentication = handshake.RequireClientCertificate
		}
	case "evidence":
		if err := e.relyOnEvidence(); err != nil {
			return err
		}
	default:
		return usage("--verify %q: it is none, optional, require or evidence", f.verify)
	}
	if f.role == attls.RoleClient {
		e.config.ServerName = host
		if f.serverName != "" {
			name, err := hostName(f.serverName)
			if err != nil {
				return err
			}
			e.config.ServerName = name
		}
	}
	if f.ca != "" {
		var err error
		var all []*x509.Certificate
		t.Roots, t.Anchors, all, err = readAnchors(f.ca, e.err)
		if f.role == attls.RoleServer && f.verify != "none" {
			e.config.CertificateAuthorities = f.credential.authorities(all, e.err)
		}
		return unavailable(err)
	}
	if f.role == attls.RoleClient && !local(host) {
		return nil
	}
	authority, err := scenario.NewDemoAuthority()
	if err != nil {
		return err
	}
	t.Roots = authority.Pool()
	return nil
}

func (f *endpointFlags) logKeys(e *endpoint) error {
	name := f.keyLog
	if name == "" {
		name = os.Getenv("SSLKEYLOGFILE")
	}
	if name == "" {
		return nil
	}
	file, err := private.Append(name)
	if err != nil {
		return unavailable(err)
	}
	e.logging = &keyLogFile{file: file, log: e.err}
	e.config.KeyLog = e.logging
	e.close = file.Close
	return nil
}

// keyLogFile is the file of --keylog. That it cannot be written ends no connection,
// but it is said once, and the command fails.
type keyLogFile struct {
	file *os.File
	log  io.Writer
	once sync.Once
	err  error
}

func (f *keyLogFile) Write(b []byte) (int, error) {
	n, err := f.file.Write(b)
	if err != nil {
		f.once.Do(func() {
			f.err = fmt.Errorf("the key log lacks secrets: %w", err)
			fmt.Fprintf(f.log, "attls: %v\n", f.err)
		})
	}
	return n, err
}

// failed is the error of a key log that could not be written; nil is a file, too.
func (f *keyLogFile) failed() error {
	if f == nil {
		return nil
	}
	f.once.Do(func() {}) // a Write may be under way
	return unavailable(f.err)
}

// record prepares a capture, whose key log goes beside that of logKeys.
func (f *endpointFlags) record(e *endpoint) error {
	var err error
	if e.capture, err = createCapture(f.pcap); err != nil || e.capture == nil {
		return err
	}
	e.config.KeyLog = e.capture.keyLog(e.config.KeyLog)
	closeLog := e.close
	e.close = func() error { return errors.Join(closeLog(), e.capture.close()) }
	return nil
}

// connection is one connection of an endpoint.
type connection struct {
	*handshake.Conn
	later     *exported.Conn // over it; nil: nothing is attested after the handshake
	again     *recurrence    // of --reattest
	news      *news          // of what is attested with key updates
	asking    sync.RWMutex   // held for reading while the peer is asked again
	end       *endpoint
	trace     *trace.Trace
	transport *transport
	remote    string
	renewal   *recurrence
}

// wrap puts TLS on a network connection.
func (e *endpoint) wrap(nc net.Conn) *connection {
	c := &connection{end: e, trace: trace.New(e.flags.role, e.profile), remote: nc.RemoteAddr().String(),
		transport: newTransport(nc, e.flags.idle)}
	nc = e.capture.conn(c.transport, e.flags.role)
	c.trace.KeepSecrets = e.capture != nil
	if e.flags.messages {
		c.trace.OnStep = e.dump
	}
	taps := []handshake.Tap{c.trace}
	if every := e.flags.session.renewEvery; every.given() {
		c.renewal = recur(every)
		taps = append(taps, renewal{recurrence: c.renewal})
	}
	answerer := c.listen(e.answerer)
	if e.flags.role == attls.RoleServer {
		c.Conn = handshake.Server(nc, e.config, answerer, taps...)
	} else {
		c.Conn = handshake.Client(nc, e.config, answerer, taps...)
		c.SetEarlyData(e.early)
	}
	if e.exported != nil {
		c.later = exported.Wrap(c.Conn, e.exported, e.answerer.Answer)
	}
	if every := e.flags.later.every; every.given() {
		c.again = recur(every)
	}
	return c
}

// shake makes the handshake, and what is attested behind it, within the time-out.
func (c *connection) shake(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.end.flags.timeout)
	defer cancel()
	err := c.HandshakeContext(ctx)
	if err == nil {
		err = c.attest(ctx)
	}
	if err == nil && c.renewal != nil {
		c.renew()
	}
	return err
}

// settle waits for answers that are under way: to a request for a certificate
// after the handshake, or a verdict on one.
func (c *connection) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.end.flags.timeout)
	defer cancel()
	_ = c.Settled(ctx)
}

// catchUp waits until what the peer has sent is handled, while somebody reads, and answered: a
// request may just have been read. After close_notify it could not be answered any more.
func (c *connection) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.end.flags.timeout)
	defer cancel()
	c.transport.caughtUp(ctx, c.news.over)
	_ = c.Settled(ctx)
}

// explain says why a connection ended, in the terms of the protocol.
func (c *connection) explain(err error) error {
	var named *attls.Error
	var local *outputError
	cause := c.transport.cause.Load()
	switch {
	case err == nil || errors.As(err, &local):
		return err
	case errors.As(err, &named) && (cause == nil || named.Class != attls.Local):
		return err
	case cause != nil:
		return cause
	case errors.Is(err, os.ErrDeadlineExceeded):
		return because(err, attls.Local, attls.FailTimeout, "the peer does not read")
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED):
		return because(err, attls.FromPeer, attls.FailTruncated, "the peer broke the connection off")
	}
	return err
}

func because(cause error, class attls.Class, f attls.Failure, text string) *attls.Error {
	e := attls.Errorf(class, f, "%s", text)
	e.Err = cause
	return e
}

// truncated reports whether a connection has ended without the peer's close_notify,
// and nothing else was wrong.
func truncated(err error) bool {
	var e *attls.Error
	return errors.As(err, &e) && e.Class == attls.FromPeer && e.Failure == attls.FailTruncated
}

// interrupt ends an established connection because a signal came.
func (c *connection) interrupt() {
	why := attls.Errorf(attls.Local, attls.FailCanceled, "interrupted by a signal")
	c.transport.cause.CompareAndSwap(nil, why)
	_ = c.transport.SetWriteDeadline(time.Now().Add(interruptTimeout)) // a Write may be under way
	_ = c.CloseWrite()
	c.transport.end(why)
}

// interruptTimeout is the time for close_notify after a signal.
const interruptTimeout = time.Second

// outputError is an error of standard output, which no peer is to blame for.
type outputError struct{ error }

func (e *outputError) Unwrap() error { return e.error }

// output is standard output, whose errors can be told from those of a connection.
type output struct{ w io.Writer }

func (o output) Write(b []byte) (int, error) {
	n, err := o.w.Write(b)
	if err != nil {
		err = &outputError{fmt.Errorf("standard output: %w", err)}
	}
	return n, err
}

// report prints the claims of a connection that is over.
func (c *connection) report(err error, closed bool) *claims.Claims {
	o := claims.Outcome{Closed: closed, Inputs: c.Inputs(), KeepInputs: c.end.flags.binderInputs}
	if err != nil && !errors.As(err, &o.Err) {
		o.Err = attls.Errorf(attls.Local, attls.FailInternal, "%v", err)
	}
	o.Exported = claims.Exported(c.Conn)
	o.AlertSent, o.AlertReceived = c.trace.Alerts()
	o.DataSent, o.DataReceived = c.trace.Data()
	claims := claims.MakeClaims(c.end.profile, c.ConnectionState(), o)
	c.claimLater(&claims)
	if f := c.end.capture; f != nil {
		scenario.LogSecrets(f.writer.KeyLog(), c.ConnectionState().ClientRandom, c.trace.Secrets())
	}
	c.end.printing.Lock()
	defer c.end.printing.Unlock()
	switch {
	case c.end.flags.asJSON:
		if line, err := json.Marshal(&claims); err == nil {
			_, _ = c.end.out.Write(append(gate.JSON(line), '\n'))
		}
	case !c.end.flags.quiet:
		p := newPainter(c.end.err)
		p.line(p.in(faint, c.remote))
		p.end(&claims)
		p.verdicts(&claims)
	}
	return &claims
}

// dump prints a message for --msg.
func (e *endpoint) dump(s trace.Step) {
	e.printing.Lock()
	defer e.printing.Unlock()
	p := newPainter(e.err)
	p.rung(&s)
	if b := s.Bytes(); b != nil {
		p.dump(b)
	}
}
