package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"attls/attestation"
	"attls/negotiation"
)

// RootVerifier is a way to have a Verifier appraise Evidence.
type RootVerifier struct {
	Name string // in a row, such as embedded
	// Checks is whether what Open makes also checks the results that are relayed;
	// otherwise the embedded Verifier does, which issues them.
	Checks bool
	// Clock is that by which results hold, for a service that has its own; nil: that of the
	// measurement, which is fixed.
	Clock func() time.Time
	// Open makes what is asked. The Verifier trusts the emulator that attests; the way
	// to ask it is as long as the Link says. What Open returns besides closes what it
	// opened.
	Open func(ctx context.Context, v *attestation.Verifier, l *Link) (negotiation.Appraiser, func(), error)
}

// EmbeddedVerifier judges where it is asked: in the relying party, or with results in the
// attester.
func EmbeddedVerifier() RootVerifier {
	open := func(_ context.Context, v *attestation.Verifier, _ *Link) (negotiation.Appraiser, func(), error) {
		return v, func() {}, nil
	}
	return RootVerifier{Name: "embedded", Open: open}
}

// HTTPVerifier is the same Verifier behind HTTP: one request for each appraisal, over a
// connection that is kept open and is as long as that of the handshake. It speaks the
// JSON of the commands that appraise.
func HTTPVerifier() RootVerifier {
	open := func(_ context.Context, v *attestation.Verifier, l *Link) (negotiation.Appraiser, func(), error) {
		client, stop := l.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var answer bytes.Buffer
			if err := attestation.Serve(r.Context(), nil, v, r.Body, &answer); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(answer.Bytes())
		}))
		return &httpAppraiser{v, client}, stop, nil
	}
	return RootVerifier{Name: "http", Open: open}
}

// Link is the way to a Verifier, which counts what is asked.
type Link struct {
	RTT      time.Duration
	requests atomic.Int64
}

// RoundTripper counts the requests that go through another one: each is a round trip,
// on a connection that is open and for a body that need not wait for a window.
func (l *Link) RoundTripper(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		l.requests.Add(1)
		return next.RoundTrip(r)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Serve serves a handler over delaying pipes. The client reaches it whatever the host of
// its URLs is. What it returns besides ends both.
func (l *Link) Serve(h http.Handler) (*http.Client, func()) {
	at := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(at) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		near, far := DelayedPipe(l.RTT / 2)
		select {
		case at.conns <- far:
			return near, nil
		case <-at.done:
			return nil, net.ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
	return &http.Client{Transport: l.RoundTripper(transport)}, func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		<-served
	}
}

// pipeListener hands out the far ends of pipes.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return delayedAddress{} }

// httpAppraiser asks a Verifier over HTTP.
type httpAppraiser struct {
	*attestation.Verifier
	client *http.Client
}

// maxAnswer bounds what a Verifier answers, in octets.
const maxAnswer = 1 << 20

func (a *httpAppraiser) Appraise(ctx context.Context, r *negotiation.AppraisalRequest) (*negotiation.Verdict, error) {
	question, err := json.Marshal(attestation.NewAppraiseRequest(r))
	if err != nil {
		return nil, err
	}
	const anywhere = "http://verifier.invalid/"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, anywhere, bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the verifier answers %s: %s", response.Status, bytes.TrimSpace(b))
	}
	var answer attestation.AppraiseResponse
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, fmt.Errorf("the answer of the verifier: %w", err)
	}
	return answer.Verdict()
}
