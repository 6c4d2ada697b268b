// Package collateraltest is a double on loopback of services that publish collateral,
// for tests of programs that ask one. It answers what a test puts there, over HTTPS, and
// misbehaves by switches.
package collateraltest

import (
	"bytes"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
)

// Answer is what the double says to one question.
type Answer struct {
	Header map[string]string
	Body   []byte
}

// Service is the double.
type Service struct {
	URL     string
	RootCAs *x509.CertPool // that its certificate is under
	CA      []byte         // the same, in DER

	mu      sync.Mutex
	answers map[string]Answer // by path and query
	bad     map[string]http.HandlerFunc
	asked   []string
}

// Start starts a double that ends with the test.
func Start(t testing.TB, answers map[string]Answer) *Service {
	t.Helper()
	s := &Service{answers: answers, bad: map[string]http.HandlerFunc{}}
	server := httptest.NewUnstartedServer(s)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	s.URL, s.CA = server.URL, server.Certificate().Raw
	s.RootCAs = x509.NewCertPool()
	s.RootCAs.AddCert(server.Certificate())
	return s
}

// Change changes the answer to a question.
func (s *Service) Change(uri string, change func(a *Answer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.answers[uri]
	header := map[string]string{}
	for k, v := range a.Header {
		header[k] = v
	}
	a.Header, a.Body = header, bytes.Clone(a.Body)
	change(&a)
	s.answers[uri] = a
}

// Misbehave has a question answered by a function; nil: as usual again.
func (s *Service) Misbehave(uri string, f http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad[uri] = f
}

// Asked lists the questions, in their order.
func (s *Service) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

// ServeHTTP implements http.Handler.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	uri := r.URL.RequestURI()
	s.mu.Lock()
	s.asked = append(s.asked, uri)
	a, ok := s.answers[uri]
	bad := s.bad[uri]
	s.mu.Unlock()
	switch {
	case bad != nil:
		bad(w, r)
		return
	case !ok || r.Method != http.MethodGet:
		http.NotFound(w, r)
		return
	}
	for k, v := range a.Header {
		w.Header().Set(k, v)
	}
	_, _ = w.Write(a.Body)
}

// Slow sends nothing until the client gives up.
func Slow(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// Closed announces octets, sends one, and closes the connection.
func Closed(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = w.Write([]byte{'-'})
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// Huge sends until the client has had enough, 64 MiB at most.
func Huge(w http.ResponseWriter, _ *http.Request) {
	for block, n := make([]byte, 1<<16), 0; n < 1<<10; n++ {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// Redirect sends elsewhere.
func Redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
}

// Status answers with a status, and a page for people.
func Status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>no</html>", code) }
}

// Busy asks so many times to wait for seconds, then answers as usual.
func (s *Service) Busy(uri string, times, seconds int) {
	s.Misbehave(uri, func(w http.ResponseWriter, r *http.Request) {
		if times--; times < 0 {
			s.Misbehave(uri, nil)
			s.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		w.WriteHeader(http.StatusTooManyRequests)
	})
}
