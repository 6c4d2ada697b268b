package veraisontest

import (
	"context"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"attls/attestation"
	"attls/extensions/profile"
	"attls/negotiation"
)

// appraise makes the result of a session: affirming, or with one appraisal that says
// what the problem is.
func (d *Service) appraise(s *session) string {
	claims := map[string]any{
		"eat_profile":     attestation.ProfileVeraison,
		"iat":             d.s.Clock().Unix(),
		"eat_nonce":       base64.URLEncoding.EncodeToString(s.nonce), // of the session, whatever the Evidence holds
		"ear.verifier-id": map[string]any{"build": "double", "developer": "Veraison Project"},
	}
	scheme := schemeOf(s.media)
	submods := map[string]any{}
	claims["submods"] = submods
	if scheme == nil {
		submods["RIOT"] = map[string]any{"ear.status": negotiation.StatusAffirming, "ear.trustworthiness-vector": vectorOf(2)}
	} else if spki, why := d.judge(s, scheme); why != "" {
		submods[scheme.Name] = map[string]any{"ear.status": negotiation.StatusContraindicated,
			"ear.trustworthiness-vector": vectorOf(99),
			"ear.veraison.policy-claims": map[string]any{"problem": why},
			"ear.appraisal-policy-id":    "policy:" + scheme.Name}
	} else {
		for _, name := range scheme.Appraisals {
			a := map[string]any{"ear.status": negotiation.StatusAffirming,
				"ear.trustworthiness-vector":      vectorOf(2, appraised[name]...),
				"ear.appraisal-policy-id":         "policy:" + scheme.Name,
				"ear.veraison.annotated-evidence": map[string]any{"double": true}}
			if scheme.AttestsKey {
				a["ear.veraison.key-attestation"] = map[string]any{"akpub": base64.RawURLEncoding.EncodeToString(spki)}
			}
			submods[name] = a
		}
	}
	d.edit(claims)
	return d.sign(claims)
}

// appraised are the claims of a vector that an appraisal fills in; the others are 0.
var appraised = map[string][]string{
	"PSA_IOT": {"executables", "hardware", "instance-identity", "runtime-opaque", "storage-opaque"},
	"CCA_SSD_PLATFORM": {"configuration", "executables", "hardware", "instance-identity", "runtime-opaque",
		"storage-opaque"},
	"CCA_REALM": {"executables", "instance-identity"},
	"PARSEC_CCA": {"configuration", "executables", "hardware", "instance-identity", "runtime-opaque",
		"storage-opaque"},
	"PARSEC_TPM":     {"executables", "hardware", "instance-identity"},
	"SEVSNP":         {"hardware", "runtime-opaque"},
	"TPM_ENACTTRUST": {"executables"},
}

// judge has the embedded verifier judge the Evidence, and compare the challenge where
// the scheme does.
func (d *Service) judge(s *session, scheme *attestation.ServiceScheme) (spki []byte, problem string) {
	typ := profile.Format{MediaType: s.media}
	c := &attestation.CMW{Form: attestation.CBORRecord, Format: typ, Value: s.value, Indicator: attestation.IndEvidence}
	wrapped, err := c.Encode()
	if err != nil {
		return nil, err.Error()
	}
	if !scheme.Reads(s.media) && !d.s.ReadsAll {
		return nil, "could not establish identity from evidence"
	}
	if d.s.Verifier == nil {
		return nil, "no trust anchor for evidence"
	}
	r := &negotiation.AppraisalRequest{Scheme: negotiation.Scheme{Model: profile.ModelEvidence, Format: typ},
		CMW: wrapped, KeyBound: true}
	compares := scheme.ComparesChallenge
	if d.s.Compares != nil {
		compares = *d.s.Compares
	}
	contents, failure := d.s.Verifier.Table.Inspect(wrapped, profile.ModelEvidence)
	if failure != nil {
		return nil, failure.Detail
	}
	r.SPKI, r.Challenge = contents.SPKI, contents.Challenge
	if compares {
		r.Challenge = s.nonce
		if scheme.Name == "ARM_CCA" { // which pads it, as SEVSNP does not
			r.Challenge = append(append([]byte{}, s.nonce...), make([]byte, 64-len(s.nonce))...)
		}
	} else if len(contents.Reading.Challenges) > 1 {
		r.Challenge = nil // they may differ, and nobody compares them
	}
	r.Fit = profile.FitExact
	if r.SPKI == nil { // the service knows no key of a handshake
		if r.SPKI, err = x509.MarshalPKIXPublicKey(&d.key.PublicKey); err != nil {
			return nil, err.Error()
		}
	}
	verdict, err := d.s.Verifier.Appraise(context.Background(), r)
	if err != nil {
		return nil, err.Error()
	}
	if verdict.Failure != "" {
		return nil, verdict.Reason
	}
	return verdict.SPKI, ""
}

// sign makes a JWT, without a kid.
func (d *Service) sign(claims map[string]any) string {
	algorithm := d.s.Algorithm
	if algorithm == "" {
		algorithm = "ES256"
	}
	header, err1 := json.Marshal(map[string]any{"alg": algorithm, "typ": "JWT"})
	payload, err2 := json.Marshal(claims)
	if err1 != nil || err2 != nil {
		panic("a result cannot be written")
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode(header) + "." + encode(payload)
	key := d.key
	if d.s.SignsWith != nil {
		key = d.s.SignsWith
	}
	var signature []byte
	switch algorithm {
	case "none":
	case "HS256":
		der, err := x509.MarshalPKIXPublicKey(&d.key.PublicKey)
		if err != nil {
			panic(err)
		}
		m := hmac.New(sha256.New, der)
		m.Write([]byte(text))
		signature = m.Sum(nil)
	default:
		digest := sha256.Sum256([]byte(text))
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			panic(err)
		}
		signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	return text + "." + encode(signature)
}

// Slow answers nothing until the client gives up.
func Slow(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body) // otherwise nobody notices that the client is gone
	<-r.Context().Done()
}

// Closed closes the connection without an answer.
func Closed(w http.ResponseWriter, _ *http.Request, _ http.Handler) { panic(http.ErrAbortHandler) }

// Cut closes the connection in the middle of an answer.
func Cut(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", typeSession)
	w.Header().Set("Content-Length", "1000")
	_, _ = w.Write([]byte(`{"status":`))
	panic(http.ErrAbortHandler)
}

// Huge answers without an end.
func Huge(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", typeSession)
	w.WriteHeader(http.StatusOK)
	block := []byte(strings.Repeat(" ", 1<<16))
	for r.Context().Err() == nil {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// Drip answers an octet at a time, for ever.
func Drip(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", typeSession)
	flush := http.NewResponseController(w)
	for r.Context().Err() == nil {
		if _, err := w.Write([]byte(" ")); err != nil || flush.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Redirect sends the client elsewhere.
func Redirect(to string) Trouble {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, to+r.URL.Path, http.StatusTemporaryRedirect)
	}
}

// Status answers with a status alone.
func Status(status int) Trouble {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		problem(w, status, "a switch of the double")
	}
}

// Says answers with a status, a media type and a text.
func Says(status int, media, text string) Trouble {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	}
}

// Nowhere is a URL at which nobody listens.
func Nowhere() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return "http://" + l.Addr().String(), nil
}
