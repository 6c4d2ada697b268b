// Package veraisontest is a double of Veraison on loopback, for tests of programs that
// ask one. It answers as Veraison of August 2026 does, and, by switches, as older ones
// do, as services behind a bad network do, and as services that lie do.
//
// It appraises with an embedded verifier, signs with keys of its own, and proves
// nothing.
package veraisontest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	mrand "math/rand/v2"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"attls/attestation"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// Step is a request to the service.
type Step string

// The steps of an appraisal, in their order.
const (
	Discovery  Step = "discovery"
	NewSession Step = "new session"
	Evidence   Step = "evidence"
	Result     Step = "result" // GET, while the result is not ready
	Deletion   Step = "deletion"
	Provision  Step = "provision"
)

// Trouble answers a request in place of the service, which is next.
type Trouble func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Switches change what the service does. The zero value is Veraison of August 2026 over
// plain HTTP.
type Switches struct {
	// Verifier appraises the Evidence: its Policies, Endorsements and References are
	// what was provisioned. Its Table reads the Evidence.
	Verifier *attestation.Verifier
	Clock    func() time.Time // nil: time.Now

	TLS  bool
	Name string // of the certificate; empty: 127.0.0.1 and localhost

	// Trouble is what goes wrong at a step.
	Trouble map[Step]Trouble

	AbsoluteLocation bool   // as a mock of 2023 has it
	Location         string // of every new session, in place of the right one
	StandardNonce    bool   // nonces in padded standard base64, as up to version 2605
	SessionNonce     []byte // the nonce that the session claims, in place of the right one
	Short            time.Duration
	// ReadsAll reads the tokens of every type that is taken, as a later Veraison may.
	ReadsAll bool
	// Compares overrides whether the challenge in the Evidence is compared.
	Compares   *bool
	Processing int  // so many answers are 202 or "processing" first
	Fails      bool // the session ends with the status failed
	// Overwritten is Evidence that somebody else sends to the session after ours.
	Overwritten []byte
	KeepEcho    bool // the session then claims to be about our Evidence

	// Statuses replaces the status of an appraisal.
	Statuses map[string]string
	// Claims changes the claims of every result.
	Claims func(claims map[string]any)
	// Algorithm of results: ES256 (empty), none, or HS256 under the public key.
	Algorithm string
	// SignsWith signs the results in place of the key that discovery names.
	SignsWith *ecdsa.PrivateKey
}

// Service is a service that runs.
type Service struct {
	URL   string
	Roots *x509.CertPool // trust the certificate of one with TLS
	// Certificate is that certificate, which is its own trust anchor.
	Certificate *x509.Certificate

	s      Switches
	types  []string
	mu     sync.Mutex
	key    *ecdsa.PrivateKey
	open   map[string]*session
	log    []string
	stored map[string]string // CoRIMs by their identifiers
}

type session struct {
	nonce     []byte
	expiry    time.Time
	media     string
	value     []byte
	result    string
	failed    bool
	remaining int // answers until the result is ready
}

// Start starts a service that ends with the test.
func Start(t testing.TB, s Switches) *Service {
	t.Helper()
	if s.Clock == nil {
		s.Clock = time.Now
	}
	if s.Short == 0 {
		s.Short = 150 * time.Second
	}
	d := &Service{s: s, key: NewKey(t), open: map[string]*session{}, stored: map[string]string{}}
	for _, x := range attestation.Veraison().Schemes {
		d.types = append(d.types, x.Types...)
	}
	d.types = append(d.types, "application/pem-certificate-chain")
	server := httptest.NewUnstartedServer(d)
	server.Config.ErrorLog = nil
	if s.TLS {
		certificate := certificateFor(t, s.Name)
		server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}}
		server.EnableHTTP2 = true
		server.StartTLS()
		d.Roots = x509.NewCertPool()
		d.Roots.AddCert(certificate.Leaf)
		d.Certificate = certificate.Leaf
	} else {
		server.Start()
	}
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	d.URL = server.URL
	return d
}

// NewKey makes a key for results.
func NewKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func certificateFor(t testing.TB, name string) tls.Certificate {
	t.Helper()
	key := NewKey(t)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a double of Veraison"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{name}}
	if name == "" {
		c.DNSNames, c.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// Key is the key of the results, as discovery says it.
func (d *Service) Key() *ecdsa.PublicKey {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &d.key.PublicKey
}

// Rotate gives the service a new key.
func (d *Service) Rotate(t testing.TB) {
	key := NewKey(t)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.key = key
}

// Open is the number of sessions that were not deleted.
func (d *Service) Open() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.open)
}

// Log lists the steps that were asked for, in their order.
func (d *Service) Log() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.log)
}

const (
	sessionPath = "/challenge-response/v1/session/"
	newPath     = "/challenge-response/v1/newSession"
	submitPath  = "/endorsement-provisioning/v1/submit"

	typeDiscovery    = "application/vnd.veraison.discovery+json"
	typeSession      = "application/vnd.veraison.challenge-response-session+json"
	typeProvisioning = "application/vnd.veraison.provisioning-session+json"
)

// ServeHTTP implements http.Handler.
func (d *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var step Step
	var next http.HandlerFunc
	switch path := r.URL.Path; {
	case r.Method == http.MethodGet && path == "/.well-known/veraison/verification":
		step, next = Discovery, d.discovery
	case r.Method == http.MethodGet && path == "/.well-known/veraison/provisioning":
		step, next = Discovery, d.provisioning
	case r.Method == http.MethodPost && path == newPath:
		step, next = NewSession, d.newSession
	case r.Method == http.MethodPost && strings.HasPrefix(path, sessionPath):
		step, next = Evidence, d.evidence
	case r.Method == http.MethodGet && strings.HasPrefix(path, sessionPath):
		step, next = Result, d.result
	case r.Method == http.MethodDelete && strings.HasPrefix(path, sessionPath):
		step, next = Deletion, d.deletion
	case r.Method == http.MethodPost && path == submitPath:
		step, next = Provision, d.submit
	default:
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "404 page not found")
		return
	}
	d.mu.Lock()
	d.log = append(d.log, string(step))
	d.mu.Unlock()
	if trouble := d.s.Trouble[step]; trouble != nil {
		trouble(w, r, next)
		return
	}
	next(w, r)
}

// problem answers with an error (RFC 9457).
func problem(w http.ResponseWriter, status int, format string, args ...any) {
	write(w, status, "application/problem+json", map[string]any{"type": "about:blank", "title": http.StatusText(status),
		"status": status, "detail": fmt.Sprintf(format, args...)})
}

func write(w http.ResponseWriter, status int, media string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", media)
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that has gone
}

// accepts refuses an Accept that does not allow the media type.
func accepts(w http.ResponseWriter, r *http.Request, media string) bool {
	all := strings.Join(r.Header.Values("Accept"), ",")
	if all == "" {
		return true
	}
	for _, a := range strings.Split(all, ",") {
		a, _, _ = strings.Cut(a, ";")
		prefix, wild := strings.CutSuffix(strings.TrimSpace(a), "*")
		if prefix == media || wild && (prefix == "*/" || strings.HasPrefix(media, prefix)) {
			return true
		}
	}
	problem(w, http.StatusNotAcceptable, "the only supported output format is %s", media)
	return false
}

func (d *Service) discovery(w http.ResponseWriter, r *http.Request) {
	if !accepts(w, r, typeDiscovery) {
		return
	}
	key, err := jwk.Import(d.Key())
	if err == nil {
		err = key.Set(jwk.AlgorithmKey, "ES256")
	}
	if err != nil {
		problem(w, http.StatusInternalServerError, "%v", err)
		return
	}
	d.describe(w, map[string]any{"ear-verification-key": key, "media-types": shuffled(d.types),
		"api-endpoints": map[string]string{"newChallengeResponseSession": newPath}})
}

// describe answers with a discovery document.
func (d *Service) describe(w http.ResponseWriter, document map[string]any) {
	const age = time.Minute
	document["version"], document["service-state"] = "double", "READY"
	w.Header().Set("Cache-Control", fmt.Sprintf("max-age=%d", age/time.Second))
	w.Header().Set("Expires", d.s.Clock().Add(age).UTC().Format(time.RFC1123))
	write(w, http.StatusOK, typeDiscovery, document)
}

// shuffled is a list in the order of this answer.
func shuffled(list []string) []string {
	list = slices.Clone(list)
	mrand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func (d *Service) newSession(w http.ResponseWriter, r *http.Request) {
	if !accepts(w, r, typeSession) {
		return
	}
	nonce, err := nonceOf(r.URL.Query())
	if err != nil {
		problem(w, http.StatusBadRequest, "failed handling nonce request: %v", err)
		return
	}
	b := make([]byte, 16)
	rand.Read(b)
	id := fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	s := &session{nonce: nonce, expiry: d.s.Clock().Add(d.s.Short), remaining: d.s.Processing}
	d.mu.Lock()
	d.open[id] = s
	d.mu.Unlock()
	location := "session/" + id
	if d.s.AbsoluteLocation {
		location = d.URL + sessionPath + id
	}
	if d.s.Location != "" {
		location = d.s.Location
	}
	w.Header().Set("Location", location)
	write(w, http.StatusCreated, typeSession, d.view(s, "waiting"))
}

// nonceOf reads nonce or nonceSize, of which at most one may be there. One that is empty
// is not there.
func nonceOf(q url.Values) ([]byte, error) {
	const least, most = 8, 64
	text, size := q.Get("nonce"), q.Get("nonceSize")
	n := uint64(32)
	switch {
	case text != "" && size != "":
		return nil, errors.New("nonce and nonceSize are mutually exclusive")
	case text != "":
		b, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			b, err = base64.URLEncoding.DecodeString(text)
		}
		if err != nil {
			return nil, errors.New("nonce must be valid base64")
		}
		if len(b) < least || len(b) > most {
			return nil, fmt.Errorf("nonce must be between %d and %d bytes long; got %d", least, most, len(b))
		}
		return b, nil
	case size != "":
		var err error
		if n, err = strconv.ParseUint(size, 10, 8); err != nil || n < least || n > most {
			return nil, fmt.Errorf("nonceSize must be in range %d..%d", least, most)
		}
	}
	nonce := make([]byte, n)
	rand.Read(nonce)
	return nonce, nil
}

// view is a session as JSON has it.
func (d *Service) view(s *session, status string) map[string]any {
	nonce := s.nonce
	if d.s.SessionNonce != nil {
		nonce = d.s.SessionNonce
	}
	text := base64.RawURLEncoding.EncodeToString(nonce)
	if d.s.StandardNonce {
		text = base64.StdEncoding.EncodeToString(nonce)
	}
	out := map[string]any{"status": status, "nonce": text, "expiry": s.expiry.UTC().Format(time.RFC3339Nano),
		"accept": shuffled(d.types)}
	if s.value != nil {
		out["evidence"] = map[string]any{"type": s.media, "value": base64.StdEncoding.EncodeToString(s.value)}
	}
	if status == "complete" {
		out["result"] = s.result
	}
	return out
}

// identifier is the session that a path names, where that is a UUID.
func identifier(w http.ResponseWriter, r *http.Request) (string, bool) {
	id := strings.TrimPrefix(r.URL.Path, sessionPath)
	if _, err := uuid.Parse(id); err != nil {
		problem(w, http.StatusBadRequest, "invalid session id (%s) in path segment: %v", r.URL.Path, err)
		return "", false
	}
	return id, true
}

// find is the session of a request.
func (d *Service) find(w http.ResponseWriter, r *http.Request) *session {
	id, ok := identifier(w, r)
	if !ok {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.open[id]
	if s == nil || !d.s.Clock().Before(s.expiry) {
		delete(d.open, id)
		problem(w, http.StatusNotFound, "session not found for (id, tenant)=(%s, 0)", id)
		return nil
	}
	return s
}

// evidence takes Evidence. The body and its type are looked at before the session.
func (d *Service) evidence(w http.ResponseWriter, r *http.Request) {
	if !accepts(w, r, typeSession) {
		return
	}
	value, err := io.ReadAll(io.LimitReader(r.Body, 1<<22))
	if err != nil || len(value) == 0 {
		problem(w, http.StatusBadRequest, "unable to read evidence from the request body")
		return
	}
	media := r.Header.Get("Content-Type")
	if slices.Contains(cmwTypes, media) {
		c, failure := attestation.ParseCMW(value, attestation.Limits{Size: 1 << 22})
		if failure != nil {
			problem(w, http.StatusBadRequest, "could not unwrap the CMW: %s", failure.Detail)
			return
		}
		if !c.IsCollection() {
			media, value = attestation.FormatString(c.Format), c.Value
		}
	}
	written, ok := taken(w, media, d.types, "verifier")
	if !ok {
		return
	}
	s := d.find(w, r)
	if s == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !written {
		s.failed = true
		problem(w, http.StatusInternalServerError, "error encountered while processing evidence")
		return
	}
	s.media, s.value, s.failed = media, value, false
	s.result = d.appraise(s)
	if d.s.Overwritten != nil {
		s.value = d.s.Overwritten
		s.result = d.appraise(s)
		if d.s.KeepEcho {
			s.value = value
		}
	}
	d.show(w, s)
}

// cmwTypes are the types under which Evidence is taken out of a CMW.
var cmwTypes = []string{"application/cmw", "application/cmw+cbor", "application/cmw+json",
	"application/vnd.veraison.cmw", "application/vnd.veraison.cmw+cbor", "application/vnd.veraison.cmw+json"}

// taken answers where a type is not one of a list. One that differs only in how it is
// written is in the list, and nobody finds it later: it is not as written.
func taken(w http.ResponseWriter, media string, list []string, who string) (written, ok bool) {
	name, parameters, err := mime.ParseMediaType(media)
	if err != nil {
		problem(w, http.StatusBadRequest,
			"could not check media type with %s: invalid input parameter: validation failed for %s (%v)", who, media, err)
		return false, false
	}
	if !slices.Contains(list, mime.FormatMediaType(name, parameters)) {
		w.Header().Set("Accept", strings.Join(shuffled(list), ", "))
		problem(w, http.StatusUnsupportedMediaType, "no active plugin found for %s", media)
		return false, false
	}
	return slices.Contains(list, media), true
}

// show answers with the state of a session.
func (d *Service) show(w http.ResponseWriter, s *session) {
	switch {
	case d.s.Fails || s.failed:
		write(w, http.StatusOK, typeSession, d.view(s, "failed"))
	case s.remaining > 0:
		s.remaining--
		write(w, http.StatusAccepted, typeSession, d.view(s, "processing"))
	default:
		write(w, http.StatusOK, typeSession, d.view(s, "complete"))
	}
}

func (d *Service) result(w http.ResponseWriter, r *http.Request) {
	if !accepts(w, r, typeSession) {
		return
	}
	s := d.find(w, r)
	if s == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.value == nil && !s.failed {
		write(w, http.StatusOK, typeSession, d.view(s, "waiting"))
		return
	}
	d.show(w, s)
}

// deletion deletes a session. One that is not there is deleted as well.
func (d *Service) deletion(w http.ResponseWriter, r *http.Request) {
	id, ok := identifier(w, r)
	if !ok {
		return
	}
	d.mu.Lock()
	delete(d.open, id)
	d.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// profiles are those of the CoRIMs that are taken.
var profiles = []string{"tag:arm.com,2025:cca_platform#1.0.0", "tag:arm.com,2025:cca_realm#1.0.0",
	"tag:arm.com,2025:psa#1.0.0", "tag:github.com/parallaxsecond,2023-03-03:cca",
	"tag:github.com/parallaxsecond,2023-03-03:tpm", "tag:amd.com,2024:snp-corim-profile", "https://amd.com/ark",
	"https://enacttrust.com/veraison/1.0.0", "tag:veraison-project.com,2026:riot"}

// corimTypes are what is taken for provisioning: each with a profile.
func corimTypes() (list []string) {
	for _, p := range profiles {
		list = append(list, fmt.Sprintf("application/rim+cbor; profile=%q", p),
			fmt.Sprintf("application/rim+cose; profile=%q", p))
	}
	return list
}

func (d *Service) provisioning(w http.ResponseWriter, r *http.Request) {
	if accepts(w, r, typeDiscovery) {
		d.describe(w, map[string]any{"media-types": shuffled(corimTypes()),
			"api-endpoints": map[string]string{"provisioningSubmit": submitPath}})
	}
}

// submit stores a CoRIM. A refused one is answered with 200 too.
func (d *Service) submit(w http.ResponseWriter, r *http.Request) {
	if !accepts(w, r, typeProvisioning) {
		return
	}
	media := r.Header.Get("Content-Type")
	if _, ok := taken(w, media, corimTypes(), "provisioner"); !ok {
		return
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || len(b) == 0 {
		problem(w, http.StatusBadRequest, "empty body")
		return
	}
	out := map[string]any{"status": "success", "expiry": d.s.Clock().Format(time.RFC3339)}
	if err := d.store(media, b); err != nil {
		out["status"] = "failed"
		out["failure-reason"] = "submit endorsement returned error: submit endorsements failed: " + err.Error()
	}
	write(w, http.StatusOK, typeProvisioning, out)
}

// store keeps a CoRIM of the profile that its type names, under its identifier.
func (d *Service) store(media string, b []byte) error {
	m, err := readCoRIM(media, b)
	if err != nil {
		return err
	}
	if !slices.Contains(corimTypes(), media) { // as in taken
		return fmt.Errorf(
			"rpc error: code = Unknown desc = implementation providing %q with interface ISchemeHandler not found",
			media,
		)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	old, there := d.stored[m.id]
	switch {
	case there && old == string(b):
		return errors.New("token already in store")
	case there:
		return fmt.Errorf("different token with manifest ID \"%x\" already in store", m.id)
	}
	d.stored[m.id] = string(b)
	return nil
}

// Types lists what the service takes.
func (d *Service) Types() []string { return slices.Sorted(slices.Values(d.types)) }

// schemeOf is the scheme of a media type.
func schemeOf(media string) *attestation.ServiceScheme {
	kind := attestation.Veraison()
	for i := range kind.Schemes {
		if slices.Contains(kind.Schemes[i].Types, media) {
			return &kind.Schemes[i]
		}
	}
	return nil
}

// vectorOf is a vector with one value for some claims, or for all where none is named,
// and 0 for the others.
func vectorOf(claim int, names ...string) map[string]any {
	out := map[string]any{}
	for _, name := range attestation.VectorClaims {
		if out[name] = 0; len(names) == 0 || slices.Contains(names, name) {
			out[name] = claim
		}
	}
	return out
}

// edit applies the switches to the claims of a result.
func (d *Service) edit(claims map[string]any) {
	submods := claims["submods"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(d.s.Statuses)) {
		if a, ok := submods[name].(map[string]any); ok {
			a["ear.status"] = d.s.Statuses[name]
		}
	}
	if d.s.Claims != nil {
		d.s.Claims(claims)
	}
}
