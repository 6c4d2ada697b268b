package campaign

import (
	"fmt"
	"slices"

	"attls"
	"attls/extensions"
)

// negotiatedLaws are about TLS flags, extended key updates, early data and resumption.
var negotiatedLaws = []law{
	{"flags-proposed", "draft-ietf-tls-tlsflags 3", true, func(v *view) string {
		if v.role != attls.RoleClient {
			return ""
		}
		var proposed extensions.Flags
		for _, m := range v.sent {
			if body, ok := m.find(attls.ExtTLSFlags); ok && m.kind == attls.KindClientHello {
				proposed, _ = extensions.ParseTLSFlags(body)
			}
		}
		return v.each(func(m *seen, _ int, x rawExtension) string {
			if x.t != attls.ExtTLSFlags || !answersOffer(m.kind) || proposed == nil { // another law's
				return ""
			}
			flags, err := extensions.ParseTLSFlags(x.body)
			if err != nil {
				return fmt.Sprintf("took %v with tls_flags of another form", m.kind)
			}
			for f := range flags.All() {
				if !proposed.Has(f) {
					return fmt.Sprintf("took the flag %v in %v, which it did not propose", f, m.kind)
				}
			}
			return ""
		})
	}},
	{"key-update", "draft-ietf-tls-extended-key-update 4", true, func(v *view) string { return v.updates() }},
	{"early-data", "RFC 8446 4.2.10", true, func(v *view) string {
		if n := v.earlyData(); v.role == attls.RoleServer && n > 2<<14 {
			return fmt.Sprintf("skipped %d octets of early data, of which none was announced", n)
		}
		return ""
	}},
	{"resumed-name", "RFC 6066 3", false, func(v *view) string {
		if ee := v.last(v.sent, attls.KindEncryptedExtensions); v.role == attls.RoleServer && ee != nil && v.resumed() {
			if _, ok := ee.find(attls.ExtServerName); ok {
				return "acknowledges server_name although it resumes a session"
			}
		}
		return ""
	}},
	{"resumed-type", "RFC 7250 4.2", false, func(v *view) string {
		ee := v.last(v.sent, attls.KindEncryptedExtensions)
		if v.role != attls.RoleServer || ee == nil || v.hello == nil || !v.resumed() {
			return ""
		}
		// Silence would mean X.509, which this client does not take.
		offer, ok := v.hello.find(attls.ExtServerCertificateType)
		if _, told := ee.find(attls.ExtServerCertificateType); told || !ok || len(offer) < 2 ||
			slices.Contains(offer[1:], byte(attls.CertificateX509)) ||
			!slices.Contains(offer[1:], byte(attls.CertificateRawPublicKey)) {
			return ""
		}
		return "resumes a session and does not tell the type of its certificate to a client that takes no X.509"
	}},
}

// earlyData is how many octets of early data the peer sent that no key opens.
func (v *view) earlyData() int {
	for i := range v.r.agents[v.role.Peer()].edits {
		if e := &v.r.agents[v.role.Peer()].edits[i]; e.Do == "early" && e.Number == 0 {
			return e.At
		}
	}
	return 0
}

// updates says which message of a key update an end took that was not due.
func (v *view) updates() string {
	// An end that took what it must not may fail later on, as the keys of both ends differ.
	err := v.r.errs[v.role]
	if err != nil && (err.Message == attls.KindExtendedKeyUpdate || err.Message == attls.KindKeyUpdate) {
		return "" // it refused
	}
	asked, answered := 0, 0
	for i := range v.r.log {
		x := &v.r.log[i]
		if x.role != v.role || x.raw == nil || len(x.raw) < 5 {
			continue
		}
		if x.kind == attls.KindKeyUpdate && !x.sent && v.state.ExtendedKeyUpdate {
			return "took KeyUpdate although the extended one takes its place"
		}
		if x.kind != attls.KindExtendedKeyUpdate {
			continue
		}
		kind := attls.ExtendedKeyUpdateType(x.raw[4])
		switch {
		case x.sent && kind == attls.KeyUpdateRequest:
			asked++
		case x.sent && kind == attls.KeyUpdateResponse:
			answered++
		case x.sent:
		case !v.state.ExtendedKeyUpdate:
			return "took ExtendedKeyUpdate, which was not negotiated"
		case kind == attls.KeyUpdateResponse && asked == 0, kind == attls.KeyUpdateFinish && answered == 0:
			return fmt.Sprintf("took %v where none was due", kind)
		case kind == attls.KeyUpdateResponse:
			asked--
		case kind == attls.KeyUpdateFinish:
			answered--
		}
		if !x.sent && kind != attls.KeyUpdateFinish && len(x.raw) >= 7 {
			if g := attls.NamedGroup(uint16(x.raw[5])<<8 | uint16(x.raw[6])); g != v.state.Group {
				return fmt.Sprintf("took a key share of the group %v in an update", g)
			}
		}
	}
	return ""
}
