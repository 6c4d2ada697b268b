package collateral

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"attls/attestation"
	"attls/attestation/collateral/collateraltest"
)

func TestGet(t *testing.T) {
	s := collateraltest.Start(t, map[string]collateraltest.Answer{"/a?b=c": {Header: map[string]string{"X-Chain": "d"},
		Body: []byte("the answer")}})
	header, body, err := (&Client{RootCAs: s.RootCAs}).Get(t.Context(), s.URL+"/a?b=c", 10)
	if err != nil || string(body) != "the answer" || header.Get("X-Chain") != "d" {
		t.Errorf("%q %v %v", body, header, err)
	}
}

// TestMisbehaviour: a service that is slow, closed, huge, redirecting or busy.
func TestMisbehaviour(t *testing.T) {
	other := collateraltest.Start(t, map[string]collateraltest.Answer{"/a": {Body: []byte("of another")}})
	for name, test := range map[string]struct {
		bad    http.HandlerFunc
		client Client
		says   string
	}{
		"slow":                {collateraltest.Slow, Client{Timeout: 50 * time.Millisecond}, "no complete answer after 50ms"},
		"closed":              {collateraltest.Closed, Client{}, "the answer ends after 1 octets"},
		"closed at once":      {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Client{}, "without an answer"},
		"huge":                {collateraltest.Huge, Client{}, "more than 100 octets"},
		"not found":           {collateraltest.Status(404), Client{}, "404 Not Found"},
		"an error":            {collateraltest.Status(500), Client{}, "500 Internal Server Error"},
		"busy without a time": {collateraltest.Status(429), Client{}, "429 Too Many Requests"},
		"to another host":     {collateraltest.Redirect(other.URL + "/a"), Client{}, "to the same host over https only"},
		"without TLS":         {collateraltest.Redirect("http://127.0.0.1:1/a"), Client{}, "to the same host over https only"},
		"to itself":           {collateraltest.Redirect("/bad"), Client{}, "more than 3 redirects"},
		"to a local file":     {collateraltest.Redirect("file:///etc/passwd"), Client{}, "https only"},
	} {
		t.Run(name, func(t *testing.T) {
			s := collateraltest.Start(t, nil)
			s.Misbehave("/bad", test.bad)
			c := test.client
			c.RootCAs = s.RootCAs
			_, body, err := c.Get(t.Context(), s.URL+"/bad", 100)
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "/bad") {
				t.Errorf("%q, %v; expected %q", body, err, test.says)
			}
		})
	}
	if asked := other.Asked(); len(asked) > 0 {
		t.Errorf("the other host was asked: %q", asked)
	}
}

func TestRedirectToSameHost(t *testing.T) {
	s := collateraltest.Start(t, map[string]collateraltest.Answer{"/new": {Body: []byte("moved")}})
	s.Misbehave("/old", collateraltest.Redirect("/new"))
	_, body, err := (&Client{RootCAs: s.RootCAs}).Get(t.Context(), s.URL+"/old", 10)
	if err != nil || string(body) != "moved" {
		t.Errorf("%q %v", body, err)
	}
}

func TestRetryAfter(t *testing.T) {
	s := collateraltest.Start(t, map[string]collateraltest.Answer{"/a": {Body: []byte("now")}})
	get := func(c Client, ctx context.Context) error {
		c.RootCAs = s.RootCAs
		_, _, err := c.Get(ctx, s.URL+"/a", 10)
		return err
	}
	s.Busy("/a", 1, 0)                                                        // which is taken for a second
	if err := get(Client{}, t.Context()); err != nil || len(s.Asked()) != 3 { // the double asks itself
		t.Errorf("%v after %q", err, s.Asked())
	}
	s.Busy("/a", 100, 3600)
	if err := get(Client{}, t.Context()); err == nil || !strings.Contains(err.Error(), "asks to wait 1h0m0s") {
		t.Error(err)
	}
	if err := get(Client{Wait: -1}, t.Context()); err == nil || !strings.Contains(err.Error(), "0s are left") {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := get(Client{Wait: 2 * time.Hour}, ctx); err == nil || ctx.Err() == nil {
		t.Error(err)
	}
	if d := retryAfter(&http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {
		time.Now().Add(20 * time.Second).UTC().Format(http.TimeFormat)}}}); d < 15*time.Second || d > 21*time.Second {
		t.Error(d)
	}
}

func TestUntrusted(t *testing.T) {
	s := collateraltest.Start(t, map[string]collateraltest.Answer{"/a": {Body: []byte("b")}})
	for address, says := range map[string]string{
		s.URL + "/a":                  "certificate",
		"http://kdsintf.example/":     "http is for services on this machine only",
		"ftp://127.0.0.1/":            "asked over https",
		"https://user@127.0.0.1/":     "neither a user nor a fragment",
		"not a URL":                   "the scheme",
		"http://127.0.0.1.example/":   "http is for services on this machine only",
		"http://127.0.0.1:1/":         "connection refused",
		"https://127.0.0.1/#fragment": "neither a user nor a fragment",
	} {
		_, _, err := (&Client{}).Get(t.Context(), address, 10)
		if err == nil || !strings.Contains(err.Error(), says) && !strings.Contains(err.Error(), "has a host") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestWrite: files are replaced, and left alone where not all can be written.
func TestWrite(t *testing.T) {
	d := filepath.Join(t.TempDir(), "new")
	files := []attestation.PublishedFile{{Name: "a", Octets: []byte("1")}, {Name: "b", Octets: []byte("2")}}
	contents := func() string {
		t.Helper()
		list, err := os.ReadDir(d)
		if err != nil {
			t.Fatal(err)
		}
		var out string
		for _, e := range list {
			b, _ := os.ReadFile(filepath.Join(d, e.Name()))
			out += e.Name() + "=" + string(b) + " "
		}
		return out
	}
	if err := Write(d, files); err != nil || contents() != "a=1 b=2 " {
		t.Fatal(err, contents())
	}
	files[0].Octets = []byte("3")
	if err := Write(d, files); err != nil || contents() != "a=3 b=2 " {
		t.Fatal(err, contents())
	}
	os.Remove(filepath.Join(d, "b"))
	if err := os.Mkdir(filepath.Join(d, "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	files[0].Octets = []byte("4")
	if err := Write(d, files); err == nil || contents() != "a=3 b= " {
		t.Error(err, contents())
	}
}
