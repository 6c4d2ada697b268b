package handshake

import (
	"attls"
	"attls/internal/provider"
)

// Export is TLS-Exporter (RFC 8446 section 7.5): length octets bound to label
// and context. It exists from the server's Finished on.
func (e *Engine) Export(label string, context []byte, length int) ([]byte, error) {
	if e.keys.exporter.n == 0 {
		return nil, attls.Errorf(attls.Local, attls.FailConfiguration, "the exporter secret does not exist yet")
	}
	return e.exportFrom(e.keys.exporter.bytes(), label, context, length)
}

// ExportEarly is the early exporter (RFC 8446 section 7.5). It exists where early
// data was offered, at a server where it was accepted. Values are not unique to a
// connection, as early data can be replayed.
func (e *Engine) ExportEarly(label string, context []byte, length int) ([]byte, error) {
	if e.early.earlySecrets == nil || e.early.exporter.n == 0 {
		return nil, attls.Errorf(attls.Local, attls.FailConfiguration, "the early exporter secret does not exist")
	}
	suite, _ := e.prov.Suite(e.earlySuite())
	return exportUnder(suite, e.early.exporter.bytes(), label, context, length)
}

// ExportNamed uses an exporter that the profile defines, such as one that is
// usable inside the handshake.
func (e *Engine) ExportNamed(exporter, label string, context []byte, length int) ([]byte, error) {
	p := e.profile()
	if p.Binder.Exporters[exporter] == "" {
		return nil, attls.Errorf(attls.Local, attls.FailConfiguration, "the profile defines no exporter %q", exporter)
	}
	if e.keys.kdf == nil && !e.done {
		return nil, attls.Errorf(attls.Local, attls.FailConfiguration, "exporter %q has no secret before ServerHello",
			exporter)
	}
	base, err := p.Binder.Program.Eval(p.Binder.Exporters[exporter], e.role, binderInputs{e: e})
	if err != nil {
		return nil, err
	}
	return e.exportFrom(base, label, context, length)
}

func (e *Engine) exportFrom(base []byte, label string, context []byte, length int) ([]byte, error) {
	return exportUnder(e.nego.suite, base, label, context, length)
}

func exportUnder(suite *provider.Suite, base []byte, label string, context []byte, length int) ([]byte, error) {
	if length < 0 || length > 255*suite.HashLen || len(label) > 249 {
		return nil, attls.Errorf(attls.Local, attls.FailConfiguration,
			"an exported value of %d octets under a label of %d octets is not defined", length, len(label)).By("RFC 5869 2.3")
	}
	return suite.KDF().Export(base, labelPrefix, label, context, length), nil
}
