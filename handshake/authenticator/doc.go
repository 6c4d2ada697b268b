// Package authenticator makes and checks exported authenticators (RFC 9261): proofs
// that one end of a TLS connection holds the key of a certificate, made after the
// handshake and carried by the application. It is sans-I/O, and needs of a connection
// only its exporter and the hash of its cipher suite, so that it works over the engine
// of this module (handshake.Conn.Authenticators), over crypto/tls (ForTLS) and over any
// stack whose exported values are known (Values).
//
//	client                                            server
//	Request  ── ClientCertificateRequest ──▶          Receive
//	Validate ◀─ Certificate, CertificateVerify, Finished ── Answer
//
//	Receive  ◀───────── CertificateRequest ──         Request
//	Answer   ── Certificate, CertificateVerify, Finished ─▶ Validate
//
//	Validate ◀─ Certificate, CertificateVerify, Finished ── Spontaneous
//
// Who is asked and does not answer refuses with the empty authenticator, a Finished
// alone. What an authenticator proves is the possession of a key: whether its
// certificate is trusted is for the function to say that Validate is given. A failure
// is returned to the application; nothing here ends a connection.
package authenticator
