package handshake_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"attls"
	"attls/handshake"
	"attls/negotiation"
)

// source is an Attester and Appraiser that fails or never answers.
type source struct{ err error }

func (s source) Schemes() []negotiation.Scheme { return nil }
func (s source) ChallengeSize() int            { return 0 }

func (s source) wait() error {
	if s.err == nil {
		select {} // not even the context ends it
	}
	return s.err
}

func (s source) Attest(context.Context, *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	return nil, s.wait()
}

func (s source) Nonce(context.Context, int) ([]byte, error) { return nil, s.wait() }

func (s source) Appraise(context.Context, *negotiation.AppraisalRequest) (*negotiation.Verdict, error) {
	return nil, s.wait()
}

// TestUnanswered names the failure of each wait that is not answered: for lack
// of a source, by its error, or in time.
func TestUnanswered(t *testing.T) {
	soon := map[handshake.WaitKind]time.Duration{handshake.WaitNonce: time.Millisecond, handshake.WaitEvidence: time.Millisecond,
		handshake.WaitAppraisal: time.Millisecond, handshake.WaitCertificateVerdict: time.Millisecond}
	forever := func(context.Context, attls.Role, [][]byte) error { select {} }
	silent := &handshake.Answerer{Attester: source{}, Appraiser: source{}, Timeouts: soon,
		Trust: handshake.Trust{InsecureSkipVerify: true, Verify: forever}}
	broken := &handshake.Answerer{Attester: source{net.ErrClosed}, Appraiser: source{net.ErrClosed}}
	says := attls.Errorf(attls.Refused, attls.FailFormatMismatch, "says so itself")
	named := &handshake.Answerer{Attester: source{says}, Appraiser: source{says}}
	tests := []struct {
		a    *handshake.Answerer
		kind handshake.WaitKind
		want attls.Failure
	}{
		{&handshake.Answerer{}, handshake.WaitEvidence, attls.FailAttesterUnavailable},
		{&handshake.Answerer{}, handshake.WaitAppraisal, attls.FailVerifierUnreachable},
		{&handshake.Answerer{}, handshake.WaitNonce, ""},
		{silent, handshake.WaitEvidence, attls.FailAttesterUnavailable},
		{silent, handshake.WaitAppraisal, attls.FailVerifierUnreachable},
		{silent, handshake.WaitNonce, attls.FailVerifierUnreachable},
		{silent, handshake.WaitCertificateVerdict, attls.FailTimeout},
		{broken, handshake.WaitEvidence, attls.FailAttesterUnavailable},
		{broken, handshake.WaitAppraisal, attls.FailVerifierUnreachable},
		{broken, handshake.WaitNonce, attls.FailVerifierUnreachable},
		{named, handshake.WaitEvidence, attls.FailFormatMismatch},
		{named, handshake.WaitAppraisal, attls.FailFormatMismatch},
	}
	for i, test := range tests {
		_, err := test.a.Answer(context.Background(), &handshake.Wait{Kind: test.kind, Nonce: &handshake.NonceRequest{Default: 32},
			Certificate: &handshake.CertificateVerdictRequest{}, Appraisal: &negotiation.AppraisalRequest{}, Evidence: &negotiation.EvidenceRequest{}})
		if got := failureOf(err); got != test.want {
			t.Errorf("case %d, %v: %q, want %q", i, test.kind, got, test.want)
		}
		if test.a == broken && !errors.Is(err, net.ErrClosed) {
			t.Errorf("case %d: the cause is lost: %v", i, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := silent.Answer(ctx, &handshake.Wait{Kind: handshake.WaitEvidence}); failureOf(err) != attls.FailCanceled {
		t.Errorf("canceled: %v", err)
	}
}
