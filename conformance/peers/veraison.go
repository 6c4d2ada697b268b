package peers

import (
	"context"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"attls"
	"attls/attestation"
	"attls/conformance/cases"
	"attls/extensions/profile"
	"attls/negotiation"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/veraison/ear"
)

// veraison is a test double of Veraison's verification service for programs that
// ask one: discovery and the challenge-response API over HTTP on loopback, with an
// attestation.Verifier behind it, which makes the Attestation Results (EAR).
type veraison struct {
	verifier *attestation.Verifier
	lie      string // see conformance.Lying; empty: none
	server   *http.Server
	listener net.Listener

	mu       sync.Mutex
	sessions map[string]*veraisonSession
}

// veraisonSession is a session as the API shows it.
type veraisonSession struct {
	Nonce    []byte            `json:"nonce"`
	Expiry   time.Time         `json:"expiry"`
	Accept   []string          `json:"accept"`
	Status   string            `json:"status"` // waiting or complete
	Evidence *veraisonEvidence `json:"evidence,omitempty"`
	Result   string            `json:"result,omitempty"` // the EAR, as JWT
}

type veraisonEvidence struct {
	Type  string `json:"type"`
	Value []byte `json:"value"`
}

const (
	veraisonDiscovery  = "/.well-known/veraison/verification"
	veraisonNewSession = "/challenge-response/v1/newSession"
	veraisonSessions   = "/challenge-response/v1/session/"

	typeDiscovery = "application/vnd.veraison.discovery+json"
	typeSession   = "application/vnd.veraison.challenge-response-session+json"
	typeProblem   = "application/problem+json"

	// Sizes of a nonce and of Evidence, in octets.
	minVeraisonNonce, maxVeraisonNonce = 8, 64
	maxVeraisonEvidence                = 1 << 16

	veraisonSessionLife = 150 * time.Second
	veraisonTimeout     = 30 * time.Second // of one request
)

// veraisonTypes are the media types of a CMW that the service takes.
var veraisonTypes = []string{"application/cmw", "application/vnd.veraison.cmw", "application/cmw+cbor",
	"application/vnd.veraison.cmw+cbor"}

// startVeraison starts the service at a port of its own. The Verifier must have a
// P-256 key for its results. They lie as the fault of a name wants them, if one is
// given.
func startVeraison(v *attestation.Verifier, lie string) (*veraison, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &veraison{verifier: v, lie: lie, listener: l, sessions: map[string]*veraisonSession{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+veraisonDiscovery, s.discovery)
	mux.HandleFunc("POST "+veraisonNewSession, s.newSession)
	mux.HandleFunc("POST "+veraisonSessions+"{id}", s.evidence)
	s.server = &http.Server{Handler: mux, ReadTimeout: veraisonTimeout, WriteTimeout: veraisonTimeout}
	go func() { _ = s.server.Serve(l) }() // until stop
	return s, nil
}

// url is the service's base, without a slash at its end.
func (s *veraison) url() string { return "http://" + s.listener.Addr().String() }

// stop ends the service; nil has none.
func (s *veraison) stop() {
	if s != nil {
		_ = s.server.Close()
	}
}

func (s *veraison) discovery(w http.ResponseWriter, _ *http.Request) {
	key, ok := s.verifier.Key.Public().(*ecdsa.PublicKey)
	if !ok {
		problem(w, http.StatusInternalServerError, errors.New("the verifier has no ECDSA key"))
		return
	}
	point, err := key.Bytes()
	if err != nil {
		problem(w, http.StatusInternalServerError, err)
		return
	}
	half := len(point) / 2
	reply(w, http.StatusOK, typeDiscovery, map[string]any{
		"ear-verification-key": map[string]string{"kty": "EC", "crv": "P-256", "alg": "ES256",
			"x": base64.RawURLEncoding.EncodeToString(point[1 : 1+half]),
			"y": base64.RawURLEncoding.EncodeToString(point[1+half:])},
		"media-types":   veraisonTypes,
		"version":       s.verifier.Build,
		"service-state": "READY",
		"api-endpoints": map[string]string{"newChallengeResponseSession": veraisonNewSession},
	})
}

// newSession opens a session. Its nonce counts up from zero: the proof of concept's
// server puts those octets on the wire whatever its verifier says, so a verifier that
// compares them with the Evidence must have chosen them.
func (s *veraison) newSession(w http.ResponseWriter, r *http.Request) {
	size, err := strconv.Atoi(r.URL.Query().Get("nonceSize"))
	if err != nil || size < minVeraisonNonce || size > maxVeraisonNonce {
		problem(w, http.StatusBadRequest, fmt.Errorf("nonceSize must be %d to %d", minVeraisonNonce, maxVeraisonNonce))
		return
	}
	nonce := make([]byte, size)
	for i := range nonce {
		nonce[i] = byte(i)
	}
	session := &veraisonSession{Nonce: nonce, Expiry: time.Now().Add(veraisonSessionLife).UTC(), Accept: veraisonTypes,
		Status: "waiting"}
	s.mu.Lock()
	id := strconv.Itoa(len(s.sessions) + 1)
	s.sessions[id] = session
	s.mu.Unlock()
	w.Header().Set("Location", strings.TrimPrefix(veraisonSessions, "/challenge-response/v1/")+id)
	reply(w, http.StatusCreated, typeSession, session)
}

// evidence appraises what is posted. Evidence that is bad gets a result that says
// so.
func (s *veraison) evidence(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	session := s.sessions[r.PathValue("id")]
	s.mu.Unlock()
	if session == nil {
		problem(w, http.StatusNotFound, errors.New("no such session"))
		return
	}
	cmw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxVeraisonEvidence))
	if err != nil {
		problem(w, http.StatusBadRequest, err)
		return
	}
	result, err := s.appraise(r.Context(), &negotiation.AppraisalRequest{
		Profile: prototypeProfile, Attester: attls.RoleClient,
		Scheme: negotiation.Scheme{Model: profile.ModelEvidence, Credential: profile.KindAlone,
			Format: attestation.PrototypeFormat},
		Match: profile.MatchIgnore, CMW: cmw, Challenge: session.Nonce})
	if err != nil {
		problem(w, http.StatusInternalServerError, err)
		return
	}
	s.mu.Lock()
	session.Status, session.Result = "complete", string(result)
	session.Evidence = &veraisonEvidence{Type: r.Header.Get("Content-Type"), Value: cmw}
	done := *session
	s.mu.Unlock()
	reply(w, http.StatusOK, typeSession, &done)
}

// appraise gives the Attestation Result for Evidence.
func (s *veraison) appraise(ctx context.Context, r *negotiation.AppraisalRequest) ([]byte, error) {
	if s.lie == "" {
		verdict, err := s.verifier.Appraise(ctx, r)
		if err != nil {
			return nil, err
		}
		return verdict.Result, nil
	}
	liar, err := cases.Lying(s.lie, s.verifier)
	if err != nil {
		return nil, err
	}
	verdict, err := liar.Appraise(ctx, r)
	if err != nil {
		return nil, err
	}
	return s.reissue(verdict)
}

// reissue signs the result of a verdict again, with the key that the verdict names.
func (s *veraison) reissue(v *negotiation.Verdict) ([]byte, error) {
	var result ear.AttestationResult
	if err := result.Verify(v.Result, jwa.ES256(), s.verifier.Key.Public()); err != nil {
		return nil, err
	}
	for _, appraisal := range result.Submods {
		appraisal.VeraisonKeyAttestation = &map[string]any{"akpub": base64.RawURLEncoding.EncodeToString(v.SPKI)}
	}
	return result.Sign(jwa.ES256(), s.verifier.Key)
}

func reply(w http.ResponseWriter, status int, mediaType string, body any) {
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a reader that is gone needs no answer
}

func problem(w http.ResponseWriter, status int, err error) {
	reply(w, status, typeProblem, map[string]any{"title": http.StatusText(status), "status": status,
		"detail": err.Error()})
}
