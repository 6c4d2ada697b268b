// Package collateral asks services for what judging Evidence needs, and writes it to
// files. It is the only place that goes online for it, and only when a user wants it:
// judging reads the files.
package collateral

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"

	"attls/attestation"
)

var _ attestation.Getter = (*Client)(nil)

// Client asks services over HTTPS. The zero value is ready, and trusts the system's
// anchors.
type Client struct {
	// RootCAs are the trust anchors of the services' certificates; nil: the system's.
	RootCAs *x509.CertPool
	// Transport is in place of HTTPS to the network, for tests; nil: that.
	Transport http.RoundTripper
	// Timeout is that of one answer, from the question to its last octet; default 20
	// seconds.
	Timeout time.Duration
	// Wait is how long all answers together may have it wait (Retry-After); default a
	// minute, and nothing below 0.
	Wait time.Duration

	waited time.Duration
	client *http.Client
}

const (
	defaultTimeout = 20 * time.Second
	defaultWait    = time.Minute
	maxHeader      = 1 << 16 // octets
	maxRedirects   = 3
	maxAttempts    = 4
)

// Get implements attestation.Getter. It follows redirects to the same host over HTTPS,
// and asks again after the time that an answer names. A Client is for one user at a
// time.
func (c *Client) Get(ctx context.Context, address string, limit int64) (textproto.MIMEHeader, []byte, error) {
	u, err := url.Parse(address)
	if err == nil {
		err = allowed(u)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", address, err)
	}
	for attempt := 1; ; attempt++ {
		header, body, again, err := c.ask(ctx, u, limit)
		if again > 0 && attempt < maxAttempts {
			err = c.pause(ctx, again)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", address, err)
		}
		return header, body, nil
	}
}

// allowed refuses URLs without HTTPS, except to this machine.
func allowed(u *url.URL) error {
	switch {
	case u.Host == "" || u.User != nil || u.Fragment != "":
		return errors.New("a URL of a service has a host, and neither a user nor a fragment")
	case u.Scheme == "https":
		return nil
	case u.Scheme != "http":
		return fmt.Errorf("the scheme %q; services are asked over https", u.Scheme)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return errors.New("http is for services on this machine only; others are asked over https")
}

// pause waits, within the bound for all waiting.
func (c *Client) pause(ctx context.Context, d time.Duration) error {
	bound := c.Wait
	if bound == 0 {
		bound = defaultWait
	}
	if left := max(bound-c.waited, 0); d > left {
		return fmt.Errorf("the service is busy and asks to wait %v (Retry-After), and %v are left for waiting", d, left)
	}
	c.waited += d
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// ask asks once. A duration above 0: to be asked again after it.
func (c *Client) ask(
	ctx context.Context,
	u *url.URL,
	limit int64,
) (textproto.MIMEHeader, []byte, time.Duration, error) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("there is no complete answer after %v", timeout))
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, nil, 0, err
	}
	fail := func(err error) (textproto.MIMEHeader, []byte, time.Duration, error) {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err
		}
		return nil, nil, 0, err
	}
	response, err := c.connection().Do(r)
	if errors.Is(err, io.EOF) {
		err = errors.New("the service closes the connection without an answer")
	}
	if err != nil {
		return fail(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, nil, retryAfter(response), fmt.Errorf("the answer is %d %s", response.StatusCode,
			http.StatusText(response.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return fail(fmt.Errorf("the answer ends after %d octets: %w", len(body), err))
	}
	if int64(len(body)) > limit {
		return nil, nil, 0, fmt.Errorf("the answer has more than %d octets", limit)
	}
	return textproto.MIMEHeader(response.Header), body, 0, nil
}

// retryAfter is the time after which a service that is busy wants to be asked again,
// at least a second; 0: it does not say (RFC 9110 section 10.2.3).
func retryAfter(r *http.Response) time.Duration {
	if r.StatusCode != http.StatusTooManyRequests && r.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	text := strings.TrimSpace(r.Header.Get("Retry-After"))
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return max(time.Duration(n)*time.Second, time.Second)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at).Round(time.Second), time.Second)
	}
	return 0
}

// connection is the client that asks. It keeps no cookies.
func (c *Client) connection() *http.Client {
	if c.client != nil {
		return c.client
	}
	transport := c.Transport
	if transport == nil {
		transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment, // which leaves loopback out
			TLSClientConfig:        &tls.Config{RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeader,
			IdleConnTimeout:        time.Second,
		}
	}
	c.client = &http.Client{Transport: transport, CheckRedirect: redirect}
	return c.client
}

// redirect allows redirects at the same host, over HTTPS.
func redirect(r *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("more than %d redirects", maxRedirects)
	case r.URL.Scheme != "https" || !strings.EqualFold(r.URL.Host, via[0].URL.Host):
		return fmt.Errorf("a redirect to %s://%s; they are followed to the same host over https only", r.URL.Scheme,
			r.URL.Host)
	}
	return nil
}
