package campaign

import (
	"fmt"

	"attls"
)

// helloOf is the hello of an end, behind which the keys change, and the message that comes first
// under the new ones.
func helloOf(role attls.Role) (hello, next attls.MessageKind) {
	if role == attls.RoleServer {
		return attls.KindServerHello, attls.KindEncryptedExtensions
	}
	return attls.KindClientHello, attls.KindCertificate
}

// boundary says that an end went on with a message in the record of the peer's hello, behind it.
func (v *view) boundary() string {
	r := v.r
	if v.role == r.attacker {
		return ""
	}
	hello, _ := helloOf(r.attacker)
	retried := false
	for _, m := range v.sent {
		retried = retried || m.kind == attls.KindHelloRetryRequest
	}
	for i := range r.agents[r.attacker].edits {
		e := &r.agents[r.attacker].edits[i]
		switch {
		case e.Message != hello.String() || e.Do != "append" && e.Do != "repeat":
		case hello == attls.KindClientHello && retried && e.Number == 0: // the keys do not change behind it
		case r.before(e) > 0:
			return fmt.Sprintf("went on with a message behind %v in its record, where the keys change", hello)
		}
	}
	return ""
}

// unprotected moves the first message under new keys into the record of the hello; in the transcript
// it stays where it was. nil: the end sends none.
func (m *mutator) unprotected(s *subject, role attls.Role) []Edit {
	hello, next := helloOf(role)
	number := -1
	for i := range m.samples[s][role] {
		x := &m.samples[s][role][i]
		if x.kind == hello {
			number++
		}
		if x.kind == next && number >= 0 {
			return []Edit{{Do: "append", Message: hello.String(), Number: number, Octets: x.raw, Shadow: true, From: x.name},
				{Do: "drop", Message: x.name, Shadow: true}}
		}
	}
	return nil
}
