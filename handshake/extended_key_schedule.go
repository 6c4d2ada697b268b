package handshake

import (
	"strconv"
	"strings"

	"attls"
	"attls/internal/provider"
)

// messageHeader is the length of a handshake message's header.
const messageHeader = 4

// generation holds the secrets of one generation.
//
//	main_secret_N -> Derive-Secret(., "derived", "") -> HKDF-Extract(., shared secret) = main_secret_N+1
//	main_secret_N+1 -> Derive-Secret(., "c ap traffic" | "s ap traffic" | "exp master", transcript_hash_N+1)
//
// resumption_main_secret_N+1 is left out, since nothing resumes the connection.
type generation struct {
	number   uint64
	hash     secret // transcript_hash_N
	salt     secret // Derive-Secret(main_secret_N, "derived", "")
	exporter secret
	traffic  [2]secret // by the role of the sender
}

// retain derives what main_secret_N+1 will be extracted with.
func (k *schedule) retain(salt *secret) {
	var empty [maxHash]byte
	k.expand(salt, k.main.bytes(), "derived", k.kdf.Hash(empty[:0], nil))
}

// derive makes the next generation of a shared secret, the request and the response.
// It returns main_secret_N+1.
func (u *extendedUpdates) derive(suite *provider.Suite, t Tap, shared, response []byte) secret {
	k := schedule{kdf: suite.KDF(), tap: t, handshakeSecrets: &handshakeSecrets{}}
	n := u.now.number + 1
	if t != nil {
		shared = t.Derived(generationName(SecretECDHE, n), shared)
	}
	k.main.n = len(k.kdf.Extract(k.main.b[:0], u.now.salt.bytes(), shared))
	k.named(generationName(SecretMain, n), &k.main)
	u.next = generation{number: n}
	u.next.hash.n = len(u.transcript(suite, u.next.hash.b[:0], response))
	var twice [maxHash]byte
	context := u.next.hash.bytes()
	if u.cfg.HashTwice {
		context = k.kdf.Hash(twice[:0], context)
	}
	traffic := &u.next.traffic
	u.named(&k, &traffic[attls.RoleClient], "c ap traffic", context, SecretClientTraffic)
	u.named(&k, &traffic[attls.RoleServer], "s ap traffic", context, SecretServerTraffic)
	u.named(&k, &u.next.exporter, "exp master", context, SecretExporter)
	k.retain(&u.next.salt)
	return k.main
}

// named derives a secret of the next generation, shows it and logs it.
func (u *extendedUpdates) named(k *schedule, s *secret, label string, context []byte, name SecretName) {
	k.expand(s, k.main.bytes(), label, context)
	k.named(generationName(name, u.next.number), s)
	if u.log != nil {
		u.log(u.cfg.KeyLog.label(name, u.next.number), s.bytes())
	}
}

// transcript appends transcript_hash_N+1, the hash of transcript_hash_N, the request and
// the response.
func (u *extendedUpdates) transcript(suite *provider.Suite, dst, response []byte) []byte {
	skip := 0
	if u.cfg.OmitHeaders {
		skip = messageHeader
	}
	h := suite.New()
	h.Write(u.now.hash.bytes())
	h.Write(u.request[skip:])
	h.Write(response[skip:])
	return h.Sum(dst)
}

// generationName names a secret of a generation: CLIENT_TRAFFIC_SECRET_1, main_secret_1.
func generationName(name SecretName, n uint64) SecretName {
	return SecretName(strings.TrimSuffix(string(name), "_0") + "_" + strconv.FormatUint(n, 10))
}

// label is the label of a secret of generation n in a key log.
func (k KeyLogNumbering) label(name SecretName, n uint64) SecretName {
	switch k {
	case KeyLogByIteration:
		n++
	case KeyLogLiteral:
		return SecretName(strings.TrimSuffix(string(name), "_0") + "_N+1")
	}
	return generationName(name, n)
}
