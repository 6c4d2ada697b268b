// Package certcompress brings the algorithms of RFC 8879 to the engine, which
// depends on no compressor itself.
package certcompress

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"attls/handshake"
)

// All lists the algorithms in order of preference: brotli, zstd, zlib.
func All() []handshake.CertificateCompressor {
	return []handshake.CertificateCompressor{algorithms["brotli"], algorithms["zstd"], algorithms["zlib"]}
}

// ByName finds an algorithm by its name in the registry: zlib, brotli, zstd.
func ByName(name string) (handshake.CertificateCompressor, bool) {
	a, ok := algorithms[name]
	return a, ok
}

var algorithms = map[string]algorithm{
	"zlib": {1, func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriter(w), nil },
		func(r io.Reader) (io.Reader, func(), error) {
			z, err := zlib.NewReader(r)
			return z, func() {}, err
		}},
	"brotli": {2, func(w io.Writer) (io.WriteCloser, error) { return brotli.NewWriter(w), nil },
		func(r io.Reader) (io.Reader, func(), error) { return brotli.NewReader(r), func() {}, nil }},
	"zstd": {3, func(w io.Writer) (io.WriteCloser, error) {
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(maxWindow))
	}, func(r io.Reader) (io.Reader, func(), error) {
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow),
			zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}},
}

// maxWindow bounds what a decoder of zstd holds, in octets.
const maxWindow = 1 << 20

// algorithm is a compressor out of a library's streams.
type algorithm struct {
	number uint16
	writer func(io.Writer) (io.WriteCloser, error)
	reader func(io.Reader) (r io.Reader, done func(), err error)
}

func (a algorithm) Algorithm() uint16 { return a.number }

func (a algorithm) Compress(message []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := a.writer(&out)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(message); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Decompress reads one octet more than there may be and no further, whatever the
// input promises.
func (a algorithm) Decompress(compressed []byte, size int) ([]byte, error) {
	r, done, err := a.reader(bytes.NewReader(compressed))
	if err != nil {
		return nil, err
	}
	defer done()
	out, err := io.ReadAll(io.LimitReader(r, int64(size)+1))
	if err != nil {
		return nil, err
	}
	if len(out) != size {
		return nil, fmt.Errorf("%d octets or more, %d were announced", len(out), size)
	}
	return out, nil
}
