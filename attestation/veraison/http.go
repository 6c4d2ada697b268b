package veraison

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"attls"
	"attls/attestation"
	"attls/extensions/profile"

	"github.com/lestrrat-go/jwx/v3/jwk"
)

// Media types of the API.
const (
	typeDiscovery    = "application/vnd.veraison.discovery+json"
	typeSession      = "application/vnd.veraison.challenge-response-session+json"
	typeProvisioning = "application/vnd.veraison.provisioning-session+json"
)

const (
	pathVerification = "/.well-known/veraison/verification"
	pathProvisioning = "/.well-known/veraison/provisioning"
	// maxAnswer bounds the body of an answer, in octets: Evidence in base64 and a result.
	maxAnswer = 1 << 18
	// maxTypes bounds the list of media types of a service.
	maxTypes = 256
)

// newClient makes a client that follows no redirect and keeps no cookie.
func newClient(o *Options) (*http.Client, error) {
	c := &http.Client{}
	if o.HTTPClient != nil {
		*c = *o.HTTPClient
	}
	if c.Transport != nil && o.RootCAs != nil {
		return nil, errors.New("the client has a transport of its own, so it must have the trust anchors too (RootCAs)")
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment, // which leaves loopback out
			TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 1 << 16,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        30 * time.Second,
		}
	}
	c.Jar = nil
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

// answer is what the service says.
type answer struct {
	status   int
	header   http.Header
	body     []byte
	verified bool // over HTTPS, and the certificate was verified
}

// silent is the error of a service that gives no answer that counts.
func silent(format string, args ...any) *attls.Error {
	return refused(attls.FailVerifierUnreachable, format, args...)
}

// request is a question to the service.
type request struct {
	method, accept string
	url            *url.URL
	body           []byte
	contentType    string
}

// do asks.
func (v *Verifier) do(ctx context.Context, q request) (*answer, *attls.Error) {
	where := q.method + " " + q.url.Path
	r, err := http.NewRequestWithContext(ctx, q.method, q.url.String(), bytes.NewReader(q.body))
	if err != nil {
		return nil, silent("%s: %v", where, err)
	}
	if q.accept != "" {
		r.Header.Set("Accept", q.accept)
	}
	if q.contentType != "" {
		r.Header["Content-Type"] = []string{q.contentType}
	}
	response, err := v.client.Do(r)
	if err != nil {
		if cause := (*url.Error)(nil); errors.As(err, &cause) {
			err = cause.Err
		}
		return nil, silent("%s: %v", where, err)
	}
	defer response.Body.Close()
	a := &answer{status: response.StatusCode, header: response.Header}
	a.verified = response.TLS != nil && len(response.TLS.VerifiedChains) > 0
	if a.body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer+1)); err != nil {
		return nil, silent("%s: the answer: %v", where, err)
	}
	if len(a.body) > maxAnswer {
		return nil, silent("%s: the answer has more than %d octets", where, maxAnswer)
	}
	return a, a.failure(where)
}

// failure is what an answer with a status that is not a success says.
func (a *answer) failure(where string) *attls.Error {
	failure := attls.FailAppraisal
	switch {
	case a.status >= 200 && a.status < 300:
		return nil
	case a.status >= 300 && a.status < 400:
		return refused(failure, "%s: %d, a redirect to %q, which is not followed", where, a.status, a.header.Get("Location"))
	case a.status == http.StatusTooManyRequests, a.status == http.StatusBadGateway,
		a.status == http.StatusServiceUnavailable, a.status == http.StatusGatewayTimeout:
		failure = attls.FailVerifierUnreachable
	}
	text := fmt.Sprintf("%s: %d %s", where, a.status, http.StatusText(a.status))
	if m, err := a.object("application/problem+json"); err == nil {
		if detail, ok := m["detail"].(string); ok {
			text += fmt.Sprintf(": %q", shorten(detail))
		}
	}
	if accept := a.header.Get("Accept"); a.status == http.StatusUnsupportedMediaType && accept != "" {
		text += "; it takes " + shorten(accept)
	}
	return refused(failure, "%s", text)
}

// maxQuoted is how much of a text of the service is repeated, in octets.
const maxQuoted = 300

func shorten(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxQuoted)], "?") }

// object is the body as the JSON of a media type.
func (a *answer) object(media string) (map[string]any, error) {
	got, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || got != media {
		return nil, fmt.Errorf("the answer is %q, not %s", shorten(a.header.Get("Content-Type")), media)
	}
	return attestation.ParseJSON(a.body)
}

// service is what is known of a service.
type service struct {
	key        crypto.PublicKey
	id         []byte   // the key as DER SubjectPublicKeyInfo
	types      []string // as it writes them
	newSession *url.URL
}

// spelling is how the service writes a type, which it takes in no other way.
func (s *service) spelling(typ profile.Format) (string, error) {
	for _, t := range s.types {
		if attestation.Matches(profile.Format{MediaType: t}, typ, profile.MatchEqual) == nil {
			return t, nil
		}
	}
	return "", fmt.Errorf("the service does not take %s; it takes %s", attestation.FormatString(typ),
		shorten(strings.Join(s.types, ", ")))
}

// discover reads the discovery document.
func (v *Verifier) discover(ctx context.Context) (*service, error) {
	m, verified, err := v.wellKnown(ctx, pathVerification)
	if err != nil {
		return nil, err
	}
	s := &service{}
	if s.types, err = typesOf(m); err != nil {
		return nil, err
	}
	if s.newSession, err = v.endpoint(m, "newChallengeResponseSession"); err != nil {
		return nil, err
	}
	if s.key, err = keyOf(m["ear-verification-key"]); err != nil {
		return nil, fmt.Errorf("ear-verification-key: %w", err)
	}
	if v.o.Key != nil {
		if own, ok := v.o.Key.(interface{ Equal(crypto.PublicKey) bool }); !ok || !own.Equal(s.key) {
			return nil, errors.New("the key of its results (ear-verification-key) is not the one that is pinned")
		}
	} else if !verified && !v.o.Insecure {
		return nil, errors.New("the key of its results came without a verified certificate; pin the key, or name the " +
			"trust anchor")
	}
	s.id, err = x509.MarshalPKIXPublicKey(s.key)
	return s, err
}

// wellKnown reads one of the discovery documents.
func (v *Verifier) wellKnown(ctx context.Context, path string) (map[string]any, bool, error) {
	a, failure := v.do(ctx, request{method: http.MethodGet, url: v.base.JoinPath(path), accept: typeDiscovery})
	if failure != nil {
		return nil, false, errors.New(failure.Detail)
	}
	m, err := a.object(typeDiscovery)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", path, err)
	}
	return m, a.verified, nil
}

func typesOf(m map[string]any) (types []string, err error) {
	list, _ := m["media-types"].([]any)
	if len(list) == 0 || len(list) > maxTypes {
		return nil, fmt.Errorf("media-types is not a list of 1 to %d", maxTypes)
	}
	for _, x := range list {
		text, ok := x.(string)
		if !ok {
			return nil, fmt.Errorf("media-types: %v is not text", x)
		}
		types = append(types, text)
	}
	slices.Sort(types) // its order changes from answer to answer
	return types, nil
}

// endpoint resolves one of api-endpoints at the same origin.
func (v *Verifier) endpoint(m map[string]any, name string) (*url.URL, error) {
	list, _ := m["api-endpoints"].(map[string]any)
	text, ok := list[name].(string)
	if !ok || text == "" {
		return nil, fmt.Errorf("api-endpoints has no %s", name)
	}
	u, err := v.resolve(v.base, text)
	if err != nil {
		return nil, fmt.Errorf("api-endpoints: %s: %w", name, err)
	}
	return u, nil
}

// resolve is a reference of the service, which must stay at its origin.
func (v *Verifier) resolve(from *url.URL, reference string) (*url.URL, error) {
	r, err := url.Parse(reference)
	if err != nil {
		return nil, fmt.Errorf("%q is not a URL", shorten(reference))
	}
	u := from.ResolveReference(r)
	if u.Scheme != v.base.Scheme || !strings.EqualFold(u.Hostname(), v.base.Hostname()) || portOf(u) != portOf(v.base) ||
		u.User != nil {
		return nil, fmt.Errorf("%q is not at the origin of the service, %s", shorten(reference), v.base.Host)
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q has a query or a fragment", shorten(reference))
	}
	return u, nil
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// keyOf reads a JWK with a public key for ECDSA, which fixes the algorithm.
func keyOf(v any) (key crypto.PublicKey, err error) {
	defer func() {
		if p := recover(); p != nil {
			key, err = nil, fmt.Errorf("the key cannot be read: %v", p)
		}
	}()
	b, err := json.Marshal(v)
	if err != nil || v == nil {
		return nil, errors.New("there is none")
	}
	k, err := jwk.ParseKey(b)
	if err != nil {
		return nil, err
	}
	public, ok := k.(jwk.ECDSAPublicKey)
	if !ok {
		return nil, fmt.Errorf("a key of the type %s; a public key for ECDSA is expected", k.KeyType())
	}
	if err := jwk.Export(public, &key); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	return x509.ParsePKIXPublicKey(der) // refuses points that are not on the curve
}

// session has the Evidence appraised in a session of its own, and returns the result.
func (a *appraisal) session(ctx context.Context, s *service) ([]byte, *attls.Error) {
	u := *s.newSession
	u.RawQuery = url.Values{"nonce": {base64.URLEncoding.EncodeToString(a.nonce)}}.Encode()
	created, err := a.v.do(ctx, request{method: http.MethodPost, url: &u, accept: typeSession})
	if err != nil {
		return nil, err
	}
	if created.status != http.StatusCreated {
		return nil, refused(attls.FailAppraisal, "the new session: %d, not 201", created.status)
	}
	own, cause := a.v.resolve(s.newSession, created.header.Get("Location"))
	if cause == nil && own.Path == s.newSession.Path {
		cause = errors.New("there is none")
	}
	if cause != nil {
		return nil, refused(attls.FailAppraisal, "the Location of the new session: %v", cause)
	}
	defer a.forget(ctx, own)
	if _, _, err := a.state(created, "waiting"); err != nil {
		return nil, err
	}
	got, err := a.v.do(ctx, request{method: http.MethodPost, url: own, accept: typeSession, body: a.value,
		contentType: a.media})
	if err != nil {
		return nil, err
	}
	for {
		result, ready, err := a.state(got, "complete", "processing")
		if err != nil || ready {
			return result, err
		}
		select {
		case <-ctx.Done():
			return nil, silent("the service is still processing the Evidence: %v", ctx.Err())
		case <-time.After(a.v.o.Poll):
		}
		if got, err = a.v.do(ctx, request{method: http.MethodGet, url: own, accept: typeSession}); err != nil {
			return nil, err
		}
	}
}

// state reads the state of the session, which must be one of those that are expected
// now, with our nonce and our Evidence.
func (a *appraisal) state(from *answer, expected ...string) (result []byte, ready bool, failure *attls.Error) {
	fail := func(format string, args ...any) ([]byte, bool, *attls.Error) {
		return nil, false, refused(attls.FailAppraisal, "the session: "+format, args...)
	}
	m, err := from.object(typeSession)
	if err != nil {
		return fail("%v", err)
	}
	nonce, err := octets(m["nonce"])
	if err != nil || !bytes.Equal(nonce, a.nonce) {
		return fail("its nonce is not the one that was sent")
	}
	status, _ := m["status"].(string)
	if !slices.Contains(expected, status) {
		return fail("its status is %q; expected is %s", shorten(status), strings.Join(expected, " or "))
	}
	if status != "complete" {
		return nil, false, nil
	}
	if err := a.echo(m["evidence"]); err != nil {
		return fail("%v", err)
	}
	text, ok := m["result"].(string)
	if !ok || text == "" {
		return fail("it is complete and has no result")
	}
	return []byte(text), true, nil
}

// echo compares the Evidence of a session that is complete with ours: another one may
// have been sent to the same session since, and the result would be about that.
func (a *appraisal) echo(v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return errors.New("it does not say which Evidence its result is about")
	}
	value, err := octets(m["value"])
	media, _ := m["type"].(string)
	same := attestation.Matches(profile.Format{MediaType: media}, profile.Format{MediaType: a.media},
		profile.MatchEqual) == nil
	if err != nil || !bytes.Equal(value, a.value) || !same {
		return errors.New("its result is about other Evidence than was sent")
	}
	return nil
}

// octets reads base64, of either alphabet, with padding or without.
func octets(v any) ([]byte, error) {
	text, ok := v.(string)
	if !ok || strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("not base64")
	}
	text = strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(text), "=")
	return base64.RawURLEncoding.Strict().DecodeString(text)
}

// forget deletes the session, whatever came of it, and waits for that a moment only. A
// failure is only noted.
func (a *appraisal) forget(ctx context.Context, session *url.URL) {
	select {
	case a.v.deleting <- struct{}{}:
	default:
		a.check(CheckSession, nil, fmt.Sprintf("the session will expire: the service has not answered to %d deletions",
			cap(a.v.deleting)))
		return
	}
	outcome := make(chan string, 1)
	go func() {
		defer func() { <-a.v.deleting }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forgetting)
		defer cancel()
		text := "the session is deleted"
		if _, err := a.v.do(ctx, request{method: http.MethodDelete, url: session}); err != nil {
			text = "the session could not be deleted, and will expire: " + err.Detail
		}
		outcome <- text
	}()
	text := "the session is being deleted, for which the service takes long"
	select {
	case text = <-outcome:
	case <-time.After(patience):
	}
	a.check(CheckSession, nil, text)
}
