package main

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"attls"
)

// options is what the runner's flags say about one connection.
type options struct {
	port, resumeCount int
	shimID            *uint64
	server            bool

	certFile, keyFile                  string
	signingPrefs, verifyPrefs          []attls.SignatureScheme
	groups                             []attls.NamedGroup
	hostName, expectServerName         string
	advertiseALPN, selectALPN          string
	expectALPN, expectAdvertisedALPN   string
	declineALPN, rejectALPN            bool
	useClientCAs, expectClientCAs      string
	requireClientCert, verifyPeer      bool
	verifyFail, failCertCallback       bool
	ignoreKeyUsage, expectKeyUsageBad  bool
	expectPeerCert                     string
	expectPeerScheme                   attls.SignatureScheme
	expectPeerVerifyPrefs              []attls.SignatureScheme
	expectGroup                        attls.NamedGroup
	expectSuite, expectSuiteAES        attls.CipherSuite
	expectVersion                      int
	expectHRR, expectNoHRR             bool
	ocspStapling, sctEnabled           bool
	ocspResponse, expectOCSP           []byte
	scts, expectSCTs                   []byte
	compressAll                        bool
	compressOne                        int
	maxCertList, maxFragment, readSize int

	writesFirst, shutsDown, checkClose bool
	sendAlert, keyUpdate               bool
	differentSizes                     bool
	exportLen                          int
	exportLabel, exportContext         string
	useExportContext, exportSecrets    bool
	exporterBetweenReads               bool
	expectMessages                     string
	grease, permute                    bool
	noTicket, expectNoSession          bool
	expectMiss                         bool
	resumptionDelay, expectAgeSkew     int
	reverify                           bool
	earlyData                          bool
	expectTicketEarlyData              bool
	expectAccept, expectReject         bool
	expectNoOffer                      bool
	earlyWriteAfter                    int
	declineOCSP, failOCSP              bool
	failEarly, failDDoS, unfinished    bool
	customVerify, fips, wpa            bool
	handshakeNeverDone                 bool
}

// unimplemented makes the shim answer that a test is beyond it.
type unimplemented string

func (u unimplemented) Error() string { return string(u) }

type flagSpec struct {
	param bool
	set   func(*options, string) error
}

func ignored(param bool) flagSpec {
	return flagSpec{param, func(*options, string) error { return nil }}
}

func on(field func(*options) *bool) flagSpec {
	return flagSpec{false, func(o *options, _ string) error { *field(o) = true; return nil }}
}

func text(field func(*options) *string) flagSpec {
	return flagSpec{true, func(o *options, v string) error { *field(o) = v; return nil }}
}

func octets(field func(*options) *[]byte) flagSpec {
	return flagSpec{true, func(o *options, v string) error {
		b, err := base64.StdEncoding.DecodeString(v)
		*field(o) = b
		return err
	}}
}

func number[T ~int | ~uint16](field func(*options) *T) flagSpec {
	return flagSpec{true, func(o *options, v string) error {
		n, err := strconv.Atoi(v)
		*field(o) = T(n)
		return err
	}}
}

func numbers[T ~uint16](field func(*options) *[]T) flagSpec {
	return flagSpec{true, func(o *options, v string) error {
		n, err := strconv.Atoi(v)
		*field(o) = append(*field(o), T(n))
		return err
	}}
}

// atLeastTLS13 refuses a test in which the shim must not speak TLS 1.3.
var atLeastTLS13 = flagSpec{true, func(_ *options, v string) error {
	if n, err := strconv.Atoi(v); err != nil || n < int(attls.VersionTLS13) {
		return unimplemented("a version before TLS 1.3")
	}
	return nil
}}

var flags = map[string]flagSpec{
	"-port": number(func(o *options) *int { return &o.port }),
	"-shim-id": {true, func(o *options, v string) error {
		n, err := strconv.ParseUint(v, 10, 64)
		o.shimID = &n
		return err
	}},
	"-ipv6":         ignored(false),
	"-server":       on(func(o *options) *bool { return &o.server }),
	"-resume-count": number(func(o *options) *int { return &o.resumeCount }),
	"-max-version":  atLeastTLS13,
	"-min-version":  ignored(true), // TLS 1.3 is the one version there is
	"-no-tls1":      ignored(false),
	"-no-tls11":     ignored(false),
	"-no-tls12":     ignored(false),

	// How the BoringSSL API is used; the sans-I/O engine has one way.
	"-async":                                ignored(false),
	"-implicit-handshake":                   ignored(false),
	"-use-early-callback":                   ignored(false),
	"-use-old-client-cert-callback":         ignored(false),
	"-use-custom-verify-callback":           on(func(o *options) *bool { return &o.customVerify }),
	"-use-ocsp-callback":                    ignored(false),
	"-set-ocsp-in-callback":                 ignored(false),
	"-expect-no-session-id":                 ignored(false),
	"-partial-write":                        ignored(false),
	"-peek-then-read":                       ignored(false),
	"-no-op-extra-handshake":                ignored(false),
	"-handshake-twice":                      ignored(false),
	"-install-ddos-callback":                ignored(false),
	"-server-preference":                    ignored(false), // the engine's server always follows its own order
	"-cipher":                               ignored(true),  // names suites of older versions only
	"-expect-verify-result":                 ignored(false), // -verify-fail ends the handshake or is not asked for
	"-expect-cipher-no-aes":                 ignored(true),
	"-forbid-renegotiation-after-handshake": ignored(false),
	"-renegotiate-freely":                   ignored(false),
	"-renegotiate-once":                     ignored(false),
	"-renegotiate-ignore":                   ignored(false),
	"-renegotiate-explicit":                 ignored(false),
	"-expect-no-secure-renegotiation":       ignored(false),
	"-allow-hint-mismatch":                  ignored(false),

	"-trust-cert":         ignored(true), // -verify-fail says what is not trusted
	"-cert-file":          text(func(o *options) *string { return &o.certFile }),
	"-key-file":           text(func(o *options) *string { return &o.keyFile }),
	"-signing-prefs":      numbers(func(o *options) *[]attls.SignatureScheme { return &o.signingPrefs }),
	"-verify-prefs":       numbers(func(o *options) *[]attls.SignatureScheme { return &o.verifyPrefs }),
	"-curves":             numbers(func(o *options) *[]attls.NamedGroup { return &o.groups }),
	"-host-name":          text(func(o *options) *string { return &o.hostName }),
	"-expect-server-name": text(func(o *options) *string { return &o.expectServerName }),

	"-advertise-alpn":         text(func(o *options) *string { return &o.advertiseALPN }),
	"-select-alpn":            text(func(o *options) *string { return &o.selectALPN }),
	"-expect-alpn":            text(func(o *options) *string { return &o.expectALPN }),
	"-expect-advertised-alpn": text(func(o *options) *string { return &o.expectAdvertisedALPN }),
	"-decline-alpn":           on(func(o *options) *bool { return &o.declineALPN }),
	"-reject-alpn":            on(func(o *options) *bool { return &o.rejectALPN }),

	"-use-client-ca-list":              text(func(o *options) *string { return &o.useClientCAs }),
	"-expect-client-ca-list":           text(func(o *options) *string { return &o.expectClientCAs }),
	"-require-any-client-certificate":  on(func(o *options) *bool { return &o.requireClientCert }),
	"-verify-peer":                     on(func(o *options) *bool { return &o.verifyPeer }),
	"-verify-fail":                     on(func(o *options) *bool { return &o.verifyFail }),
	"-fail-cert-callback":              on(func(o *options) *bool { return &o.failCertCallback }),
	"-ignore-rsa-key-usage":            on(func(o *options) *bool { return &o.ignoreKeyUsage }),
	"-expect-key-usage-invalid":        on(func(o *options) *bool { return &o.expectKeyUsageBad }),
	"-expect-peer-cert-file":           text(func(o *options) *string { return &o.expectPeerCert }),
	"-expect-peer-signature-algorithm": number(func(o *options) *attls.SignatureScheme { return &o.expectPeerScheme }),
	"-expect-peer-verify-pref": numbers(func(o *options) *[]attls.SignatureScheme {
		return &o.expectPeerVerifyPrefs
	}),
	"-expect-curve-id":   number(func(o *options) *attls.NamedGroup { return &o.expectGroup }),
	"-expect-cipher":     number(func(o *options) *attls.CipherSuite { return &o.expectSuite }),
	"-expect-cipher-aes": number(func(o *options) *attls.CipherSuite { return &o.expectSuiteAES }),
	"-expect-version":    number(func(o *options) *int { return &o.expectVersion }),
	"-expect-hrr":        on(func(o *options) *bool { return &o.expectHRR }),
	"-expect-no-hrr":     on(func(o *options) *bool { return &o.expectNoHRR }),

	"-max-cert-list":     number(func(o *options) *int { return &o.maxCertList }),
	"-max-send-fragment": number(func(o *options) *int { return &o.maxFragment }),
	"-read-size":         number(func(o *options) *int { return &o.readSize }),

	"-shim-writes-first":                 on(func(o *options) *bool { return &o.writesFirst }),
	"-shim-shuts-down":                   on(func(o *options) *bool { return &o.shutsDown }),
	"-check-close-notify":                on(func(o *options) *bool { return &o.checkClose }),
	"-send-alert":                        on(func(o *options) *bool { return &o.sendAlert }),
	"-key-update":                        on(func(o *options) *bool { return &o.keyUpdate }),
	"-write-different-record-sizes":      on(func(o *options) *bool { return &o.differentSizes }),
	"-export-keying-material":            number(func(o *options) *int { return &o.exportLen }),
	"-export-label":                      text(func(o *options) *string { return &o.exportLabel }),
	"-export-context":                    text(func(o *options) *string { return &o.exportContext }),
	"-use-export-context":                on(func(o *options) *bool { return &o.useExportContext }),
	"-export-traffic-secrets":            on(func(o *options) *bool { return &o.exportSecrets }),
	"-use-exporter-between-reads":        on(func(o *options) *bool { return &o.exporterBetweenReads }),
	"-expect-msg-callback":               text(func(o *options) *string { return &o.expectMessages }),
	"-permute-extensions":                on(func(o *options) *bool { return &o.permute }),
	"-no-ticket":                         on(func(o *options) *bool { return &o.noTicket }),
	"-expect-no-session":                 on(func(o *options) *bool { return &o.expectNoSession }),
	"-expect-session-miss":               on(func(o *options) *bool { return &o.expectMiss }),
	"-expect-ticket-renewal":             ignored(false), // tickets come after the handshake in any case
	"-use-ticket-callback":               ignored(false),
	"-renew-ticket":                      ignored(false),
	"-resumption-delay":                  number(func(o *options) *int { return &o.resumptionDelay }),
	"-expect-ticket-age-skew":            number(func(o *options) *int { return &o.expectAgeSkew }),
	"-reverify-on-resume":                on(func(o *options) *bool { return &o.reverify }),
	"-enable-early-data":                 on(func(o *options) *bool { return &o.earlyData }),
	"-expect-ticket-supports-early-data": on(func(o *options) *bool { return &o.expectTicketEarlyData }),
	"-expect-accept-early-data":          on(func(o *options) *bool { return &o.expectAccept }),
	"-expect-reject-early-data":          on(func(o *options) *bool { return &o.expectReject }),
	"-expect-no-offer-early-data":        on(func(o *options) *bool { return &o.expectNoOffer }),
	"-expect-early-data-reason":          ignored(true), // BoringSSL's words for its own reasons
	"-fips-202205":                       on(func(o *options) *bool { return &o.fips }),
	"-wpa-202304":                        on(func(o *options) *bool { return &o.wpa }),
	"-enable-ocsp-stapling":              on(func(o *options) *bool { return &o.ocspStapling }),
	"-enable-signed-cert-timestamps":     on(func(o *options) *bool { return &o.sctEnabled }),
	"-ocsp-response":                     octets(func(o *options) *[]byte { return &o.ocspResponse }),
	"-expect-ocsp-response":              octets(func(o *options) *[]byte { return &o.expectOCSP }),
	"-signed-cert-timestamps":            octets(func(o *options) *[]byte { return &o.scts }),
	"-expect-signed-cert-timestamps":     octets(func(o *options) *[]byte { return &o.expectSCTs }),
	"-decline-ocsp-callback":             on(func(o *options) *bool { return &o.declineOCSP }),
	"-fail-ocsp-callback":                on(func(o *options) *bool { return &o.failOCSP }),
	"-install-cert-compression-algs":     on(func(o *options) *bool { return &o.compressAll }),
	"-install-one-cert-compression-alg":  number(func(o *options) *int { return &o.compressOne }),
	"-fail-early-callback":               on(func(o *options) *bool { return &o.failEarly }),
	"-fail-ddos-callback":                on(func(o *options) *bool { return &o.failDDoS }),
	"-read-with-unfinished-write":        on(func(o *options) *bool { return &o.unfinished }),
	"-early-write-after-message":         number(func(o *options) *int { return &o.earlyWriteAfter }),
	"-enable-grease":                     on(func(o *options) *bool { return &o.grease }),
	"-handshake-never-done":              on(func(o *options) *bool { return &o.handshakeNeverDone }),
}

// parse reads the runner's arguments into the options of the first connection,
// of the resumed ones and of a 0-RTT connection that goes on at 1-RTT.
func parse(args []string) (initial, resume, retry options, err error) {
	all := []*options{&initial, &resume, &retry}
	for i := 0; i < len(args); i++ {
		name, to := strings.TrimPrefix(args[i], "-on-shim"), all
		for k, prefix := range [...]string{"-on-initial", "-on-resume", "-on-retry"} {
			if rest, ok := strings.CutPrefix(name, prefix+"-"); ok {
				name, to = "-"+rest, all[k:k+1]
			}
		}
		spec, ok := flags[name]
		if !ok {
			return initial, resume, retry, unimplemented("flag " + name)
		}
		value := ""
		if spec.param {
			if i++; i == len(args) {
				return initial, resume, retry, fmt.Errorf("%s needs a value", name)
			}
			value = args[i]
		}
		for _, o := range to {
			if err := spec.set(o, value); err != nil {
				return initial, resume, retry, err
			}
		}
	}
	return initial, resume, retry, nil
}

// verifyFailure is the failure of -verify-fail: the alert of BoringSSL's older
// way to verify is another than that of its newer one.
func (o *options) verifyFailure() attls.Failure {
	if o.customVerify {
		return attls.FailCertificateUnknown
	}
	return attls.FailSignatureScheme
}
