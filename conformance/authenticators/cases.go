package authenticators

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"attls"
	"attls/extensions"
	"attls/handshake/message"
)

// Case is something that is done with the authenticators of a connection.
type Case struct {
	Name string
	// Does says in a sentence what is done and what is expected.
	Does string
	// askers are the ends that ask; nil: both, one after the other. Where nobody asks it is
	// the end that checks.
	askers []attls.Role
	run    func(x *exchange) error
	// updates is what is done in place of run over a connection of its own that has
	// negotiated Extended Key Update, where the asker is the end that begins.
	updates func(x *epochs) error
	group   attls.NamedGroup // of that connection; 0: any
}

// exchange is one run of a case: two ends with authenticators of their own.
type exchange struct {
	name        string
	asker, peer Authenticators
	askerEnd    End
	peerEnd     End
	otherEnd    End // the asker's in another connection of the same stacks
	askerRole   attls.Role
	// elsewhere gives authenticators over that other connection.
	elsewhere func() (asker, peer Authenticators, err error)
	// again gives authenticators of the same connection that have seen nothing.
	again func() (asker, peer Authenticators, err error)
	drawn int
}

// context is one that the case has not used.
func (x *exchange) context() []byte {
	x.drawn++
	sum := sha256.Sum256(fmt.Append(nil, x.name, x.askerRole, x.drawn))
	return sum[:]
}

// carry takes octets from one end to the other, in the connection itself.
func carry(from, to End, octets []byte) ([]byte, error) {
	if err := from.Send(octets); err != nil {
		return nil, fmt.Errorf("sending: %w", err)
	}
	got, err := to.Receive()
	if err != nil {
		return nil, fmt.Errorf("receiving: %w", err)
	}
	if !bytes.Equal(got, octets) {
		return nil, fmt.Errorf("%d octets were carried, and %d others came", len(octets), len(got))
	}
	return got, nil
}

// ask has the asker ask, and carries the request.
func (x *exchange) ask() ([]byte, Claim, error) {
	request, claim, err := x.asker.Request(x.context())
	if err != nil {
		return nil, claim, fmt.Errorf("asking: %w", err)
	}
	request, err = carry(x.askerEnd, x.peerEnd, request)
	return request, claim, err
}

// answer has the peer answer, and carries the answer. It compares what both say of the
// request.
func (x *exchange) answer(request []byte, asked *Claim, refuse bool) ([]byte, *Claim, error) {
	octets, said, err := x.peer.Answer(request, refuse)
	if err != nil {
		return nil, nil, fmt.Errorf("answering: %w", err)
	}
	if difference := asked.same(&said[0]); difference != "" {
		return nil, nil, fmt.Errorf("of the request, %s", difference)
	}
	octets, err = carry(x.peerEnd, x.askerEnd, octets)
	return octets, &said[1], err
}

// judged checks an authenticator, and compares what both ends say of it. The empty one has
// no context.
func judged(by Authenticators, octets []byte, made *Claim) error {
	got, err := by.Check(octets)
	if err != nil {
		return fmt.Errorf("checking: %w", err)
	}
	want := *made
	if want.Empty {
		want.Context = got.Context
	}
	if difference := want.same(&got); difference != "" {
		return fmt.Errorf("of the authenticator, %s", difference)
	}
	return nil
}

// answered is an exchange up to an answer that is not checked yet.
func (x *exchange) answered(refuse bool) ([]byte, *Claim, error) {
	request, asked, err := x.ask()
	if err != nil {
		return nil, nil, err
	}
	return x.answer(request, &asked, refuse)
}

// refused wants a check to fail, by one of these failures.
func refused(by Authenticators, octets []byte, failures ...attls.Failure) error {
	claim, err := by.Check(octets)
	if err == nil {
		return fmt.Errorf("it was accepted: %+v", claim)
	}
	return because(err, failures...)
}

// because wants an error to have one of these failures.
func because(err error, failures ...attls.Failure) error {
	var named *attls.Error
	if !errors.As(err, &named) {
		return fmt.Errorf("it was refused without the name of a failure: %w", err)
	}
	if !slices.Contains(failures, named.Failure) {
		return fmt.Errorf("it was refused by %s, not %s: %w", named.Failure, failures[0], err)
	}
	return nil
}

// changed flips a bit of the octet at i, from the end where it is negative, of message n.
func changed(octets []byte, n, i int) ([]byte, error) {
	out := bytes.Clone(octets)
	list := messages(out)
	if n >= len(list) || len(list[n]) < 4+max(i+1, -i) {
		return nil, fmt.Errorf("there is no octet %d of message %d in %d octets", i, n, len(octets))
	}
	m := list[n]
	if i < 0 {
		m[len(m)+i] ^= 1
	} else {
		m[4+i] ^= 1
	}
	return out, nil
}

// spoilt is a case in which an answer is changed on its way.
func spoilt(name, does string, refuse bool, n, i int, failures ...attls.Failure) Case {
	return Case{Name: name, Does: does, run: func(x *exchange) error {
		octets, made, err := x.answered(refuse)
		if err != nil {
			return err
		}
		bad, err := changed(octets, n, i)
		if err != nil {
			return err
		}
		if err := refused(x.asker, bad, failures...); err != nil {
			return err
		}
		return judged(x.asker, octets, made) // a failure has not used the request up
	}}
}

var server, client = []attls.Role{attls.RoleServer}, []attls.Role{attls.RoleClient}

// Cases are all of them.
func Cases() []Case { return slices.Clone(cases) }

var cases = []Case{
	{Name: "exporter", Does: "both ends export the same, and another connection exports otherwise", run: exported},
	{Name: "answered", Does: "one end asks, the other shows its certificate", run: func(x *exchange) error {
		octets, made, err := x.answered(false)
		if err != nil {
			return err
		}
		return judged(x.asker, octets, made)
	}},
	{Name: "refused", Does: "one end asks, the other answers with the empty authenticator", run: func(x *exchange) error {
		octets, made, err := x.answered(true)
		if err != nil {
			return err
		}
		return judged(x.asker, octets, made)
	}},
	{Name: "outstanding", Does: "three requests are open, and are answered in another order, the second by a refusal",
		run: outstanding},
	{Name: "both-ask", Does: "each end asks before either answers", run: bothAsk},
	spoilt("certificate-changed", "a changed certificate is refused", false, 0, -3,
		attls.FailSignature, attls.FailBadCertificate),
	spoilt("signature-changed", "a changed signature is refused", false, 1, -1, attls.FailSignature),
	spoilt("scheme-changed", "a scheme that was not asked for is refused", false, 1, 0,
		attls.FailIllegalParameter, attls.FailSignature),
	spoilt("finished-changed", "a changed Finished is refused", false, 2, -1, attls.FailFinished),
	spoilt("refusal-changed", "a changed empty authenticator is refused", true, 0, 0, attls.FailFinished),
	{Name: "cut", Does: "an authenticator that is cut off anywhere in its headers is refused", run: cut},
	{Name: "longer", Does: "octets behind an authenticator are refused", run: func(x *exchange) error {
		octets, _, err := x.answered(false)
		if err != nil {
			return err
		}
		return refused(x.asker, append(bytes.Clone(octets), byte(attls.TypeKeyUpdate), 0, 0, 1, 0),
			attls.FailUnexpectedMessage)
	}},
	{Name: "request-changed", Does: "the answer to a request that was changed on its way is refused",
		run: requestChanged},
	{Name: "request-twice", Does: "a request that comes twice is refused the second time", run: func(x *exchange) error {
		request, asked, err := x.ask()
		if err != nil {
			return err
		}
		if _, _, err := x.answer(request, &asked, false); err != nil {
			return err
		}
		_, _, err = x.peer.Answer(request, false)
		if err == nil {
			return errors.New("the request was answered twice")
		}
		return because(err, attls.FailRequestContext)
	}},
	{Name: "request-reflected", Does: "a request that comes back to its sender is refused", run: func(x *exchange) error {
		request, _, err := x.ask()
		if err != nil {
			return err
		}
		if request, err = carry(x.peerEnd, x.askerEnd, request); err != nil {
			return err
		}
		if _, _, err = x.asker.Answer(request, false); err == nil {
			return errors.New("an end answers its own request")
		}
		return because(err, attls.FailUnexpectedMessage)
	}},
	badRequest("request-without-schemes", "a request without signature_algorithms is refused", nil,
		func(m *message.CertificateRequest) { m.Extensions = nil }, attls.FailMissingExtension),
	badRequest("request-extension-twice", "a request with an extension twice is refused", nil,
		func(m *message.CertificateRequest) { m.Extensions = append(m.Extensions, m.Extensions[0]) },
		attls.FailDuplicateExtension),
	badRequest("request-extension-misplaced", "a request with an extension of ClientHello is refused", nil,
		withExtension(attls.ExtKeyShare, nil), attls.FailWrongMessage),
	badRequest("request-server-name", "only a client asks for a name", server,
		withExtension(attls.ExtServerName, []byte{0, 4, 0, 0, 1, 'a'}), attls.FailWrongMessage),
	badRequest("request-filled-status", "status_request of a request is empty", nil,
		withExtension(attls.ExtStatusRequest, []byte{1}), attls.FailTrailing),
	badRequest("request-scheme-cut", "a list of schemes with half a scheme is refused", nil,
		func(m *message.CertificateRequest) { m.Extensions[0].Body = []byte{0, 3, 4, 3, 8} }, attls.FailDecode),
	badRequest("request-unknown-extension", "an unknown extension of a request is ignored", nil,
		withExtension(0xff77, []byte("unknown"))),
	badRequest("request-large-context", "a context may have 255 octets", nil,
		func(m *message.CertificateRequest) { m.Context = bytes.Repeat([]byte{1}, 255) }),
	badProof("extension-unsolicited", "an extension that was not asked for is refused",
		entryWith(attls.ExtSignedCertificateTimestamp, []byte{0, 3, 0, 1, 7}), attls.FailUnsolicited),
	badProof("extension-unknown", "an unknown extension is refused", entryWith(0xff77, nil), attls.FailUnsolicited),
	badProof("extension-misplaced", "an extension of ClientHello is refused", entryWith(attls.ExtKeyShare, nil),
		attls.FailWrongMessage),
	badProof("no-certificate", "an empty list of certificates is refused",
		func(m *message.Certificate) { m.Entries = nil }, attls.FailDecode),
	badProof("no-certificate-in-entry", "what is not a certificate is refused",
		func(m *message.Certificate) { m.Entries[0].Data = []byte("raw public key") }, attls.FailBadCertificate),
	badProof("many-certificates", "more certificates than an end takes are refused", func(m *message.Certificate) {
		for range 200 {
			m.Entries = append(m.Entries, m.Entries[0])
		}
	}, attls.FailCapacity),
	{Name: "other-order", Does: "the messages of an authenticator in another order are refused",
		run: func(x *exchange) error {
			octets, made, err := x.answered(false)
			if err != nil {
				return err
			}
			list := messages(octets)
			for _, order := range [][]int{{1, 0, 2}, {0, 2, 1}, {0, 2}, {1, 2}, {2, 0, 1}} {
				var bad []byte
				for _, i := range order {
					bad = append(bad, list[i]...)
				}
				if err := refused(x.asker, bad, attls.FailUnexpectedMessage); err != nil {
					return fmt.Errorf("messages %v: %w", order, err)
				}
			}
			return judged(x.asker, octets, made)
		}},
	{Name: "replayed", Does: "an authenticator that comes twice is refused the second time", run: func(x *exchange) error {
		octets, made, err := x.answered(false)
		if err != nil {
			return err
		}
		if err := judged(x.asker, octets, made); err != nil {
			return err
		}
		return refused(x.asker, octets, attls.FailRequestContext)
	}},
	{Name: "unasked", Does: "a client's authenticator for a request that its server has forgotten is refused",
		askers: server, run: unasked(attls.FailRequestContext)},
	{Name: "unasked", Does: "a server's authenticator for a request is not one without a request", askers: client,
		run: unasked(attls.FailSignature)},
	{Name: "other-connection", Does: "an authenticator of another connection is refused", run: func(x *exchange) error {
		return x.replaced(false, attls.FailSignature)
	}},
	{Name: "refusal-other-connection", Does: "an empty authenticator of another connection is refused",
		run: func(x *exchange) error { return x.replaced(true, attls.FailFinished) }},
	{Name: "other-direction", Does: "an authenticator that comes back to its sender is refused", run: otherDirection},
	{Name: "spontaneous", Does: "a server's authenticator without a request is taken once", askers: client,
		run: func(x *exchange) error {
			octets, made, err := x.spontaneous()
			if err != nil {
				return err
			}
			if err := judged(x.asker, octets, &made); err != nil {
				return err
			}
			return refused(x.asker, octets, attls.FailRequestContext)
		}},
	{Name: "spontaneous-changed", Does: "a changed one is refused, and the true one is taken then", askers: client,
		run: func(x *exchange) error {
			octets, made, err := x.spontaneous()
			if err != nil {
				return err
			}
			bad, err := changed(octets, 2, -1)
			if err != nil {
				return err
			}
			if err := refused(x.asker, bad, attls.FailFinished); err != nil {
				return err
			}
			return judged(x.asker, octets, &made)
		}},
	{Name: "spontaneous-other-connection", Does: "one of another connection is refused", askers: client,
		run: func(x *exchange) error {
			_, there, err := x.elsewhere()
			if err != nil {
				return err
			}
			octets, _, err := there.Spontaneous(x.context())
			if err != nil {
				return err
			}
			if octets, err = carry(x.peerEnd, x.askerEnd, octets); err != nil {
				return err
			}
			return refused(x.asker, octets, attls.FailSignature)
		}},
	{Name: "update", Does: "three extended key updates of one end", updates: func(x *epochs) error {
		return x.several(3, func(int) bool { return false })
	}},
	{Name: "update-group", Does: "the same under another group", group: attls.GroupSecp384r1,
		updates: func(x *epochs) error { return x.several(3, func(int) bool { return false }) }},
	{Name: "update-in-turn", Does: "twenty extended key updates, of both ends in turn", updates: func(x *epochs) error {
		return x.several(20, func(i int) bool { return i%2 == 1 })
	}},
	{Name: "update-crossed", Does: "both ends begin at once, ten times: the lower request is ignored",
		updates: updateCrossed},
	{Name: "update-twice", Does: "an end begins no second update during one", updates: updateTwice},
	{Name: "update-authenticator", Does: "authenticators belong to an epoch", updates: updateAuthenticator},
	{Name: "spontaneous-of-client", Does: "a client makes none", askers: server, run: func(x *exchange) error {
		if _, _, err := x.peer.Spontaneous(x.context()); err == nil {
			return errors.New("a client has made one")
		}
		return nil
	}},
}

// badRequest is a case in which a request is changed on its way; without failures it
// must be answered all the same.
func badRequest(name, does string, askers []attls.Role, change func(*message.CertificateRequest),
	failures ...attls.Failure) Case {
	return Case{Name: name, Does: does, askers: askers, run: func(x *exchange) error {
		request, _, err := x.ask()
		if err != nil {
			return err
		}
		raw, failure := message.ParseRaw(request)
		if failure != nil {
			return failure
		}
		var m message.CertificateRequest
		if raw.Kind == attls.KindClientCertificateRequest {
			failure = (*message.ClientCertificateRequest)(&m).Unmarshal(raw.Body())
		} else {
			failure = m.Unmarshal(raw.Body())
		}
		if failure != nil {
			return failure
		}
		change(&m)
		bad := m.Append(nil)
		bad[0] = byte(raw.Type)
		if _, _, err = x.peer.Answer(bad, false); len(failures) == 0 {
			return err
		}
		if err == nil {
			return errors.New("the request was answered")
		}
		return because(err, failures...)
	}}
}

func withExtension(t attls.ExtensionType, body []byte) func(*message.CertificateRequest) {
	return func(m *message.CertificateRequest) {
		m.Extensions = append(slices.Clone(m.Extensions), extensions.Extension{Type: t, Body: body})
	}
}

// badProof is a case in which the Certificate of an answer is changed on its way.
func badProof(name, does string, change func(*message.Certificate), failures ...attls.Failure) Case {
	return Case{Name: name, Does: does, run: func(x *exchange) error {
		octets, made, err := x.answered(false)
		if err != nil {
			return err
		}
		list := messages(octets)
		raw, failure := message.ParseRaw(list[0])
		if failure != nil {
			return failure
		}
		var m message.Certificate
		if failure := m.Unmarshal(raw.Body()); failure != nil {
			return failure
		}
		change(&m)
		if err := refused(x.asker, slices.Concat(m.Append(nil), list[1], list[2]), failures...); err != nil {
			return err
		}
		return judged(x.asker, octets, made)
	}}
}

func entryWith(t attls.ExtensionType, body []byte) func(*message.Certificate) {
	return func(m *message.Certificate) {
		e := &m.Entries[0]
		e.Extensions = append(slices.Clone(e.Extensions), extensions.Extension{Type: t, Body: body})
	}
}

// exportedValues are what the exporter is asked for: labels of RFC 9261, a label of
// experiments, contexts of several lengths.
var exportedValues = []struct {
	label   string
	context []byte
	length  int
}{
	{"EXPORTER-client authenticator handshake context", nil, 32},
	{"EXPORTER-server authenticator handshake context", nil, 48},
	{"EXPORTER-client authenticator finished key", nil, 48},
	{"EXPORTER-server authenticator finished key", nil, 32},
	{"EXPERIMENTAL attls", []byte{}, 1},
	{"EXPERIMENTAL attls", []byte("context"), 100},
	{"EXPERIMENTAL attls", bytes.Repeat([]byte{7}, 255), 255},
}

func exported(x *exchange) error {
	for _, v := range exportedValues {
		var got [2][]byte
		for i, end := range []End{x.askerEnd, x.peerEnd} {
			var err error
			if got[i], err = end.Export(v.label, v.context, v.length); err != nil {
				return fmt.Errorf("exporting %d octets under %q: %w", v.length, v.label, err)
			}
			if len(got[i]) != v.length {
				return fmt.Errorf("%d octets of %q were exported, not %d", len(got[i]), v.label, v.length)
			}
		}
		if !bytes.Equal(got[0], got[1]) {
			return fmt.Errorf("of %q, the ends export %x and %x", v.label, got[0], got[1])
		}
		if v.length < 16 {
			continue // which may be equal by chance
		}
		if there, err := x.otherEnd.Export(v.label, v.context, v.length); err != nil || bytes.Equal(there, got[0]) {
			return errors.Join(fmt.Errorf("of %q, another connection exports %x", v.label, there), err)
		}
	}
	return nil
}

func outstanding(x *exchange) error {
	var requests [3][]byte
	var asked [3]Claim
	for i := range requests {
		var err error
		if requests[i], asked[i], err = x.ask(); err != nil {
			return err
		}
	}
	for _, i := range []int{2, 0, 1} {
		octets, made, err := x.answer(requests[i], &asked[i], i == 1)
		if err != nil {
			return err
		}
		if err := judged(x.asker, octets, made); err != nil {
			return fmt.Errorf("request %d: %w", i, err)
		}
	}
	return nil
}

func bothAsk(x *exchange) error {
	request, asked, err := x.ask()
	if err != nil {
		return err
	}
	back := *x
	back.asker, back.peer, back.askerEnd, back.peerEnd = x.peer, x.asker, x.peerEnd, x.askerEnd
	askedBack, claimBack, err := back.ask()
	if err != nil {
		return err
	}
	octets, made, err := x.answer(request, &asked, false)
	if err != nil {
		return err
	}
	octetsBack, madeBack, err := back.answer(askedBack, &claimBack, false)
	if err != nil {
		return err
	}
	if err := judged(x.asker, octets, made); err != nil {
		return err
	}
	return judged(back.asker, octetsBack, madeBack)
}

// cut cuts an authenticator off behind each of its first octets, and behind each message.
func cut(x *exchange) error {
	octets, made, err := x.answered(false)
	if err != nil {
		return err
	}
	lengths := []int{0, 1, 3, 4, 5, 20, len(octets) - 1}
	at := 0
	for _, m := range messages(octets) {
		at += len(m)
		lengths = append(lengths, at-1, at)
	}
	for _, n := range lengths[:len(lengths)-1] { // without the whole
		if err := refused(x.asker, octets[:n], attls.FailDecode, attls.FailUnexpectedMessage); err != nil {
			return fmt.Errorf("%d of %d octets: %w", n, len(octets), err)
		}
	}
	return judged(x.asker, octets, made)
}

func requestChanged(x *exchange) error {
	request, _, err := x.ask()
	if err != nil {
		return err
	}
	// The last two schemes change places: the peer reads as good a request.
	n := len(request)
	bad := bytes.Clone(request)
	copy(bad[n-4:], request[n-2:])
	copy(bad[n-2:], request[n-4:n-2])
	if bytes.Equal(bad, request) {
		return errors.New("the last two schemes are one")
	}
	octets, _, err := x.peer.Answer(bad, false)
	if err != nil {
		return err
	}
	if octets, err = carry(x.peerEnd, x.askerEnd, octets); err != nil {
		return err
	}
	return refused(x.asker, octets, attls.FailSignature)
}

func unasked(failure attls.Failure) func(x *exchange) error {
	return func(x *exchange) error {
		octets, _, err := x.answered(false)
		if err != nil {
			return err
		}
		forgotten, _, err := x.again()
		if err != nil {
			return err
		}
		return refused(forgotten, octets, failure)
	}
}

// replaced gives the asker an answer of another connection to a request with the same
// context.
func (x *exchange) replaced(refuse bool, failure attls.Failure) error {
	asker, peer, err := x.elsewhere()
	if err != nil {
		return err
	}
	context := x.context()
	if _, _, err := x.asker.Request(context); err != nil {
		return err
	}
	request, _, err := asker.Request(context)
	if err != nil {
		return err
	}
	octets, _, err := peer.Answer(request, refuse)
	if err != nil {
		return err
	}
	if octets, err = carry(x.peerEnd, x.askerEnd, octets); err != nil {
		return err
	}
	return refused(x.asker, octets, failure)
}

// otherDirection gives the peer its own answer, for a request of the same context.
func otherDirection(x *exchange) error {
	request, asked, err := x.ask()
	if err != nil {
		return err
	}
	octets, made, err := x.answer(request, &asked, false)
	if err != nil {
		return err
	}
	if octets, err = carry(x.askerEnd, x.peerEnd, octets); err != nil {
		return err
	}
	_, peer, err := x.again()
	if err != nil {
		return err
	}
	context, err := octetsOf(made.Context)
	if err != nil {
		return err
	}
	if _, _, err := peer.Request(context); err != nil {
		return err
	}
	return refused(peer, octets, attls.FailSignature)
}

// spontaneous has the peer, a server, make one without a request, and carries it.
func (x *exchange) spontaneous() ([]byte, Claim, error) {
	octets, made, err := x.peer.Spontaneous(x.context())
	if err != nil {
		return nil, made, err
	}
	octets, err = carry(x.peerEnd, x.askerEnd, octets)
	return octets, made, err
}
