package attestation

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"attls"
)

// Publisher is the service of a vendor that publishes what judging Evidence of a format
// needs and the Evidence need not bring: certificates, CRLs, statements on security
// versions. Judging never asks it. What it publishes goes into files, and a policy names
// these; no root becomes trusted by it.
type Publisher struct {
	// URL is where the vendor has it: scheme and host.
	URL string
	// Parameters say what is asked for, where there is no Evidence that does.
	Parameters []PublisherParameter
	// Raw reads Evidence without a CMW around it, as the tools of the platform write it.
	Raw func(value []byte) (*Reading, *attls.Error)
	// Fetch asks the service, and checks what it answers: that it is about the platform
	// that was asked for, is signed by whom it should be, and holds at the time of the
	// query. Errors say which answer is wrong, and how.
	Fetch func(ctx context.Context, q *PublisherQuery) (*Published, error)
}

// PublisherParameter is a value that a Publisher is asked with.
type PublisherParameter struct {
	Name string // lower-case letters and hyphens: the name of a flag
	Text string // what it is, for people
}

// PublisherQuery is what a Publisher is asked.
type PublisherQuery struct {
	Getter Getter
	// Reading is Evidence of the platform in question; nil: Parameters say it all.
	Reading *Reading
	// Parameters are values by the names in Publisher.Parameters.
	Parameters map[string]string
	// Service is the URL of another service with the same interface, as a cache or a
	// proxy has; empty: the vendor's.
	Service string
	// At is the time at which the answers must hold.
	At time.Time
}

// Getter asks a service. Package collateral has one.
type Getter interface {
	// Get returns the header fields and the body of a successful answer, which has at
	// most limit octets. Errors say which URL was asked.
	Get(ctx context.Context, url string, limit int64) (textproto.MIMEHeader, []byte, error)
}

// Published is what a Publisher answered.
type Published struct {
	Files []PublishedFile
	// Until is when the first of them does not hold any more.
	Until time.Time
	// Notes are sentences on what a policy has to know of them.
	Notes []string
}

// PublishedFile is a file that a policy can name.
type PublishedFile struct {
	Name   string // without a directory
	Octets []byte
	// Member is that of the format's section which names the file; empty: none.
	Member string
}

// Root is the text of a note on the root of what was fetched, which has a fingerprint
// (SHA-256): by which name a policy can trust it, if there is one.
func (Published) Root(subject string, fingerprint [32]byte, known string) string {
	text := fmt.Sprintf("the root is %q, SHA-256 %x; ", subject, fingerprint)
	if known != "" {
		return text + "a policy trusts it with vendor_roots: [" + known + "]"
	}
	return text + "it has no name here: compare its fingerprint with what the vendor says, and put it into trust_anchors"
}

// Parameter is the value of a parameter, in which the Evidence must agree. An empty own
// value: the Evidence does not say it.
func (q *PublisherQuery) Parameter(name, own string) (string, error) {
	given := q.Parameters[name]
	switch {
	case own == "":
		return given, nil
	case given != "" && !strings.EqualFold(given, own):
		return "", fmt.Errorf("%s: the Evidence says %s, and %s is given", name, own, given)
	}
	return own, nil
}

// Publishers are the formats of a table that have one.
func (t Formats) Publishers() (list []*Format) {
	return slices.DeleteFunc(t.All(), func(f *Format) bool { return f.Publisher == nil })
}

// InForce says that a certificate is not valid at a time.
func InForce(x *x509.Certificate, at time.Time) error {
	if at.Before(x.NotBefore) || at.After(x.NotAfter) {
		return fmt.Errorf("the certificate of %q is valid from %v to %v", x.Subject.CommonName, x.NotBefore, x.NotAfter)
	}
	return nil
}
