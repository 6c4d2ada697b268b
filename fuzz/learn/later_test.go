package learn

import (
	"strings"
	"testing"

	"attls"
	"attls/handshake"
)

// laterServerTable is a server that asks after the handshake (RFC 8446 section 4.6.2). An
// answer has to stand together; an empty one declines, which the server may take (it may abort
// with certificate_required as well).
const laterServerTable = `
START         ClientHello       ServerHello_EncryptedExtensions_Certificate_CertificateVerify_Finished  WAIT_FINISHED
WAIT_FINISHED ChangeCipherSpec  -                   WAIT_FINISHED
WAIT_FINISHED Finished          -                   CONNECTED
CONNECTED     Ask               CertificateRequest  ASKED
CONNECTED     ApplicationData   -                   CONNECTED
CONNECTED     KeyUpdate         -                   CONNECTED
CONNECTED     KeyUpdate+request -                   CONNECTED
ASKED         ApplicationData   -                   ASKED
ASKED         KeyUpdate         -                   ASKED
ASKED         KeyUpdate+request -                   ASKED
ASKED         Certificate+context       -           WAIT_CV
ASKED         EmptyCertificate+context  -           WAIT_FIN
ASKED         Certificate       alert_illegal_parameter  CLOSED
ASKED         EmptyCertificate  alert_illegal_parameter  CLOSED
WAIT_CV       CertificateVerify -                   WAIT_FIN
WAIT_FIN      Finished          -                   CONNECTED
CLOSED        *                 closed              CLOSED
*             Ask               -                   =
*             CloseNotify       closed              CLOSED
*             *                 alert_unexpected_message  CLOSED
`

// laterClientTable is clientTable of a client that offers post_handshake_auth: a
// CertificateRequest behind the handshake is answered at once. The context is empty in the
// handshake; behind it, where it tells requests apart (section 4.3.2), this engine takes an empty
// one for an error as well, which the text neither asks for nor forbids.
var laterClientTable = strings.Replace(clientTable, "CONNECTED     ChangeCipherSpec", `
WAIT_CERT_CR  CertificateRequest+context  alert_illegal_parameter  CLOSED
CONNECTED     CertificateRequest          alert_illegal_parameter  CLOSED
CONNECTED     CertificateRequest+context  Certificate_CertificateVerify_Finished  CONNECTED
CONNECTED     ChangeCipherSpec`, 1)

// resumingServerTable is a server that issues a ticket after each handshake and takes it back
// (section 2.2): the second half is what it does with a client that has one. Without a ticket
// of the server's, an offer leads to a full handshake.
const resumingServerTable = `
START         ClientHello       ServerHello_EncryptedExtensions_Certificate_CertificateVerify_Finished  WAIT_FINISHED
START         ClientHello+psk   ServerHello_EncryptedExtensions_Certificate_CertificateVerify_Finished  WAIT_FINISHED
START         Reconnect         -                 START
WAIT_FINISHED ChangeCipherSpec  -                 WAIT_FINISHED
WAIT_FINISHED Finished          NewSessionTicket  T_CONNECTED
WAIT_FINISHED Reconnect         -                 START
CLOSED        Reconnect         -                 START
CLOSED        *                 closed            CLOSED
T_START       ClientHello       ServerHello_EncryptedExtensions_Certificate_CertificateVerify_Finished  T_WAIT_FINISHED
T_START       ClientHello+psk   ServerHello+psk_EncryptedExtensions_Finished                            T_WAIT_FINISHED
T_START       Reconnect         -                 T_START
T_START       CloseNotify       closed            T_CLOSED
T_START       *                 alert_unexpected_message  T_CLOSED
T_WAIT_FINISHED ChangeCipherSpec -                T_WAIT_FINISHED
T_WAIT_FINISHED Finished        NewSessionTicket  T_CONNECTED
T_WAIT_FINISHED Reconnect       -                 T_START
T_WAIT_FINISHED CloseNotify     closed            T_CLOSED
T_WAIT_FINISHED *               alert_unexpected_message  T_CLOSED
T_CONNECTED   ApplicationData   -                 T_CONNECTED
T_CONNECTED   KeyUpdate         -                 T_CONNECTED
T_CONNECTED   KeyUpdate+request -                 T_CONNECTED
T_CONNECTED   Reconnect         -                 T_START
T_CONNECTED   CloseNotify       closed            T_CLOSED
T_CONNECTED   *                 alert_unexpected_message  T_CLOSED
T_CLOSED      Reconnect         -                 T_START
T_CLOSED      *                 closed            T_CLOSED
*             CloseNotify       closed            CLOSED
*             *                 alert_unexpected_message  CLOSED
`

// resumingClientTable is a client that keeps a ticket for the next connection, and offers it
// once (RFC 8446 appendix C.4). Without one, pre_shared_key of a server was not asked for.
// With one, a server that takes it sends neither CertificateRequest nor a certificate.
const resumingClientTable = `
WAIT_SH       ServerHello         -            WAIT_EE
WAIT_SH       ServerHello+psk     alert_unsupported_extension  CLOSED
WAIT_SH       HelloRetryRequest   ClientHello  WAIT_SH2
WAIT_SH2      ServerHello         -            WAIT_EE
WAIT_SH2      ServerHello+psk     alert_unsupported_extension  CLOSED
WAIT_EE       EncryptedExtensions -            WAIT_CERT_CR
WAIT_CERT_CR  CertificateRequest  -            WAIT_CERT
WAIT_CERT_CR  Certificate         -            WAIT_CV
WAIT_CERT     Certificate         -            WAIT_CV_CR
WAIT_CV       CertificateVerify   -            WAIT_FINISHED
WAIT_CV_CR    CertificateVerify   -            WAIT_FINISHED_CR
WAIT_FINISHED Finished            Finished     CONNECTED
WAIT_FINISHED_CR Finished         Certificate_CertificateVerify_Finished  CONNECTED
CONNECTED     NewSessionTicket    -            T_CONNECTED
CONNECTED     KeyUpdate           -            CONNECTED
CONNECTED     KeyUpdate+request   -            CONNECTED
CONNECTED     ApplicationData     -            CONNECTED
CONNECTED     ChangeCipherSpec    alert_unexpected_message  CLOSED
T_CONNECTED   NewSessionTicket    -            T_CONNECTED
T_CONNECTED   KeyUpdate           -            T_CONNECTED
T_CONNECTED   KeyUpdate+request   -            T_CONNECTED
T_CONNECTED   ApplicationData     -            T_CONNECTED
T_CONNECTED   Reconnect           ClientHello+psk  P_SH
T_CONNECTED   CloseNotify         closed       T_CLOSED
T_CONNECTED   *                   alert_unexpected_message  T_CLOSED
T_CLOSED      Reconnect           ClientHello+psk  P_SH
T_CLOSED      *                   closed       T_CLOSED
P_SH          ServerHello         -            WAIT_EE
P_SH          ServerHello+psk     -            P_EE
P_SH          HelloRetryRequest   ClientHello+psk  P_SH2
P_SH2         ServerHello         -            WAIT_EE
P_SH2         ServerHello+psk     -            P_EE
P_EE          EncryptedExtensions -            WAIT_FINISHED
CLOSED        Reconnect           ClientHello  WAIT_SH
CLOSED        *                   closed       CLOSED
*             Reconnect           ClientHello  WAIT_SH
*             ChangeCipherSpec    -            =
*             CloseNotify         closed       CLOSED
*             *                   alert_unexpected_message  CLOSED
`

// attestedServerTable is a server that attests under early-attestation-06 if it is asked to.
const attestedServerTable = `
START         ClientHello              ServerHello_EncryptedExtensions_Certificate_CertificateVerify_Finished  WAIT_FINISHED
START         ClientHello+attestation  ServerHello_EncryptedExtensions+attestation_Certificate+evidence_CertificateVerify_Finished  WAIT_FINISHED
WAIT_FINISHED ChangeCipherSpec  -       WAIT_FINISHED
WAIT_FINISHED Finished          -       CONNECTED
CONNECTED     ApplicationData   -       CONNECTED
CONNECTED     KeyUpdate         -       CONNECTED
CONNECTED     KeyUpdate+request -          CONNECTED
CLOSED        *                 closed  CLOSED
*             CloseNotify       closed  CLOSED
*             *                 alert_unexpected_message  CLOSED
`

// attestedClientTable is a client that demands attestation of its server. A server's choice is
// complete with EncryptedExtensions "and potentially" CertificateRequest (the draft's section
// "Following Server Hello"), so that a missing one is refused at what comes next, with
// attestation_required (225 here). What is wrong with a payload is attestation_failed (226); for
// one that is missing after a choice the draft names no alert.
const attestedClientTable = `
WAIT_SH       ServerHello         -            WAIT_EE
WAIT_SH       HelloRetryRequest   ClientHello+attestation  WAIT_SH2
WAIT_SH2      ServerHello         -            WAIT_EE
WAIT_EE       EncryptedExtensions+attestation  -  WAIT_CERT_CR
WAIT_EE       EncryptedExtensions  -           NO_CHOICE
NO_CHOICE     CertificateRequest  alert_225    CLOSED
NO_CHOICE     Certificate         alert_225    CLOSED
NO_CHOICE     Certificate+evidence  alert_225  CLOSED
NO_CHOICE     Certificate+stale   alert_225    CLOSED
WAIT_CERT_CR  CertificateRequest  -            WAIT_CERT
WAIT_CERT_CR  Certificate+evidence  -          WAIT_CV
WAIT_CERT     Certificate+evidence  -          WAIT_CV_CR
WAIT_CERT_CR  Certificate         alert_226  CLOSED
WAIT_CERT_CR  Certificate+stale   alert_226  CLOSED
WAIT_CERT     Certificate         alert_226  CLOSED
WAIT_CERT     Certificate+stale   alert_226  CLOSED
WAIT_CV       CertificateVerify   -            WAIT_FINISHED
WAIT_CV_CR    CertificateVerify   -            WAIT_FINISHED_CR
WAIT_FINISHED Finished            Finished     CONNECTED
WAIT_FINISHED_CR Finished         Certificate_CertificateVerify_Finished  CONNECTED
CONNECTED     NewSessionTicket    -            CONNECTED
CONNECTED     KeyUpdate           -            CONNECTED
CONNECTED     KeyUpdate+request   -            CONNECTED
CONNECTED     ApplicationData     -            CONNECTED
CONNECTED     ChangeCipherSpec    alert_unexpected_message  CLOSED
CLOSED        *                   closed       CLOSED
*             ChangeCipherSpec    -            =
*             CloseNotify         closed       CLOSED
*             *                   alert_unexpected_message  CLOSED
`

func attestation(t *testing.T, name string, attester attls.Role) *Attestation {
	t.Helper()
	a, err := NewAttestation(name, attester)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestEngineWithMoreSymbols: the machines of both roles are those of the tables, with each of
// the alphabets.
func TestEngineWithMoreSymbols(t *testing.T) {
	for name, x := range map[string]struct {
		role     attls.Role
		table    string
		alphabet Alphabet
	}{
		"server that asks later": {attls.RoleServer, laterServerTable, Alphabet{PostHandshake: true, Asks: true}},
		"client asked later":     {attls.RoleClient, laterClientTable, Alphabet{PostHandshake: true}},
		"server with tickets":    {attls.RoleServer, resumingServerTable, Alphabet{Resumption: true}},
		"client with tickets":    {attls.RoleClient, resumingClientTable, Alphabet{Resumption: true}},
		"server that attests": {attls.RoleServer, attestedServerTable,
			Alphabet{Attestation: attestation(t, "early-attestation-06", attls.RoleServer)}},
		"client that demands": {attls.RoleClient, attestedClientTable,
			Alphabet{Attestation: attestation(t, "early-attestation-06", attls.RoleServer)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compare(t, x.role, x.table, x.alphabet, handshake.NoClientCertificate)
		})
	}
}
