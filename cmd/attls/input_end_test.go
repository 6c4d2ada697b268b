package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// lastInput is an input that ends at a word of somebody's, and tells that it has ended.
type lastInput struct {
	io.Reader
	end, ended chan struct{}
}

func (l *lastInput) Read(b []byte) (int, error) {
	if n, err := l.Reader.Read(b); !errors.Is(err, io.EOF) {
		return n, err
	}
	<-l.end
	select {
	case <-l.ended:
	default:
		close(l.ended)
	}
	return 0, io.EOF
}

// TestInputEndsAtARequest: a client whose input ends in the moment in which a request after the handshake
// was read, and nobody knows yet that it has to be answered, answers it before it closes.
func TestInputEndsAtARequest(t *testing.T) {
	for name, x := range map[string]struct {
		both, server, client []string
		times                int    // messages of the kind
		sign                 string // what the client prints of the request
		answers              int    // that it has to send, each with Finished; one is of the handshake
	}{
		"post-handshake": {[]string{"--profile", "early-attestation-06", "--attester", "client"}, []string{"--reattest", "12B"}, []string{"--pha"}, 2, "CertificateRequest", 2},
		"authenticator":  {[]string{"--profile", "seat-expat-04", "--attester", "client"}, []string{"--reattest", "12B"}, nil, 2, "CertificateRequest", 3},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, append(append([]string{}, x.both...), append(x.server, "--echo", "--json", "--max-connections", "1")...)...)
			input := &lastInput{bytes.NewReader([]byte("one\ntwo\n")), make(chan struct{}), make(chan struct{})}
			var out, log lockedBuffer
			var once sync.Once
			seen := 0
			heard := writerFunc(func(b []byte) (int, error) {
				if seen += bytes.Count(b, []byte(x.sign)); seen >= x.times {
					once.Do(func() {
						close(input.end)
						<-input.ended
						time.Sleep(50 * time.Millisecond) // in which a client that does not wait closes
					})
				}
				return log.Write(b)
			})
			flags := append(append([]string{"client", "--json", "--msg", s.address}, x.both...), x.client...)
			if code := run(context.Background(), flags, input, &out, heard); code != exitOK {
				t.Fatalf("exit code %d, %s", code, log.String())
			}
			if code := s.wait(t); code != exitOK {
				t.Fatalf("server: exit code %d, %s", code, s.log.String())
			}
			if n := strings.Count(log.String(), "│ Finished ──"); n != x.answers {
				t.Errorf("the client sent Finished %d times, want %d", n, x.answers)
			}
		})
	}
}
