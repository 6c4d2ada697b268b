package certcompress

import (
	"bytes"
	"testing"
)

// TestAlgorithms compresses, decompresses, and refuses what is not of the size
// that was announced, a bomb among it.
func TestAlgorithms(t *testing.T) {
	message := bytes.Repeat([]byte("certificate "), 500)
	bomb := make([]byte, 1<<24)
	numbers := map[uint16]bool{}
	for _, c := range All() {
		numbers[c.Algorithm()] = true
		b, err := c.Compress(message)
		if err != nil || len(b) >= len(message) {
			t.Fatalf("algorithm %d: %d octets, %v", c.Algorithm(), len(b), err)
		}
		if got, err := c.Decompress(b, len(message)); err != nil || !bytes.Equal(got, message) {
			t.Errorf("algorithm %d: %d octets, %v", c.Algorithm(), len(got), err)
		}
		for _, size := range []int{0, len(message) - 1, len(message) + 1} {
			if _, err := c.Decompress(b, size); err == nil {
				t.Errorf("algorithm %d: decompresses to %d octets", c.Algorithm(), size)
			}
		}
		for _, n := range []int{0, 1, len(b) / 2} {
			if _, err := c.Decompress(b[:n], len(message)); err == nil {
				t.Errorf("algorithm %d: %d octets decompress", c.Algorithm(), n)
			}
		}
		if b, err = c.Compress(bomb); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Decompress(b, 1000); err == nil {
			t.Errorf("algorithm %d: a bomb decompresses to 1000 octets", c.Algorithm())
		}
	}
	if len(numbers) != 3 || !numbers[1] || !numbers[2] || !numbers[3] {
		t.Errorf("numbers %v", numbers)
	}
	for name, number := range map[string]uint16{"zlib": 1, "brotli": 2, "zstd": 3} {
		if c, ok := ByName(name); !ok || c.Algorithm() != number {
			t.Errorf("%s: %v", name, ok)
		}
	}
	if _, ok := ByName("gzip"); ok {
		t.Error("gzip is in no registry")
	}
}
