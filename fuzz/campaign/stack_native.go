package campaign

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"attls"
)

// The native targets of conformance/mbedtls/targets.sh take an octet for the variant and the
// records that the other end sends. In the mode of fuzzers nothing is encrypted.

// nullRecords are handshake messages as records of that mode: the content type follows the
// contents from the second flight on, as it does under encryption.
func nullRecords(role attls.Role, messages [][]byte) (b []byte) {
	protected := false
	for _, m := range messages {
		kind := kindOf(nil, m)
		if !protected && kind != attls.KindClientHello && kind != attls.KindServerHello &&
			kind != attls.KindHelloRetryRequest {
			protected = true
		}
		for chunk := range slices.Chunk(m, 1<<14) {
			b = append(b, nullRecord(attls.ContentTypeHandshake, chunk, protected)...)
		}
	}
	if role == attls.RoleClient { // a server of the attacker's answers, and closes
		b = append(b, nullRecord(attls.ContentTypeApplicationData, make([]byte, 64), true)...)
	} else {
		b = append(b, nullRecord(attls.ContentTypeApplicationData, []byte("from the client"), true)...)
	}
	return append(b, nullRecord(attls.ContentTypeAlert, []byte{1, 0}, true)...)
}

func nullRecord(t attls.ContentType, contents []byte, protected bool) []byte {
	body := slices.Clone(contents)
	if protected {
		body, t = append(body, byte(t)), attls.ContentTypeApplicationData
	}
	return append([]byte{byte(t), 3, 3, byte(len(body) >> 8), byte(len(body))}, body...)
}

// nullMessages are the handshake messages in records of that mode, as far as they can be
// read: the beginning of what a fuzzer made of them.
func nullMessages(b []byte) (list [][]byte) {
	var pending []byte
	c := &cursor{b, true}
	for c.ok && len(c.b) > 0 {
		t := attls.ContentType(c.number(1))
		c.take(2)
		body := c.vector(2)
		if t == attls.ContentTypeApplicationData && len(body) > 0 {
			end := len(body) - 1
			for end > 0 && body[end] == 0 {
				end--
			}
			t, body = attls.ContentType(body[end]), body[:end]
		}
		if !c.ok || t != attls.ContentTypeHandshake {
			continue
		}
		pending = append(pending, body...)
		for len(pending) >= 4 {
			n := 4 + (int(pending[1])<<16 | int(pending[2])<<8 | int(pending[3]))
			if n > len(pending) {
				break
			}
			list = append(list, pending[:n:n])
			pending = pending[n:]
		}
	}
	return list
}

// NativeSeeds writes what a campaign sends as inputs of the native targets: in checks those of
// the build that checks everything, in mode those of the mode of fuzzers.
func NativeSeeds(target, checks, mode string) (func(variant int, s StackSent), error) {
	for _, dir := range []string{checks, mode} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	role := stackTargets[target]
	write := func(dir string, variant int, b []byte) {
		b = append([]byte{byte(variant)}, b...)
		name := filepath.Join(dir, fmt.Sprintf("%x", sha256.Sum256(b))[:40])
		_ = os.WriteFile(name, b, 0o644) // a seed less
	}
	return func(variant int, s StackSent) {
		write(checks, variant, s.Wire)
		if len(s.Messages) > 0 {
			write(mode, variant, nullRecords(role, s.Messages))
		}
	}, nil
}

// maxNative bounds how many files of native corpora are read, and the size of each.
const (
	maxNative     = 1 << 14
	maxNativeFile = 1 << 18
)

// NativeCorpora are the directories, in the one of a campaign's native corpora, that have
// inputs of the mode of fuzzers: that of libFuzzer, and the queues of AFL++ in its output.
func NativeCorpora(dir string) []string {
	list := []string{filepath.Join(dir, "mode")}
	queues, _ := filepath.Glob(filepath.Join(dir, "afl", "*", "queue"))
	return append(list, queues...)
}

// ReadNative reads corpora of the mode of fuzzers: the handshake messages in their inputs,
// which a campaign takes as values to put elsewhere. Directories that are not there are empty.
func ReadNative(dirs ...string) (messages [][]byte, err error) {
	left := maxNative
	for _, dir := range dirs {
		files, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, f := range files {
			info, err := f.Info()
			if err != nil || !info.Mode().IsRegular() || info.Size() > maxNativeFile || left == 0 {
				continue
			}
			left--
			b, err := os.ReadFile(filepath.Join(dir, f.Name()))
			if err != nil {
				return nil, err
			}
			if len(b) > 1 {
				messages = append(messages, nullMessages(b[1:])...)
			}
		}
	}
	return messages, nil
}

// addMessages adds messages to the values that edits take.
func (m *mutator) addMessages(s *subject, list [][]byte) {
	for _, b := range list {
		if len(m.pool.messages) >= maxNative {
			return
		}
		k := kindOf(s.profile, b)
		if k == attls.KindUnknown {
			continue
		}
		x := sample{name: k.String(), kind: k, raw: b}
		x.lists, _ = extensionsOf(b[4:], k)
		m.pool.add(&x)
	}
}
