package fuzz

import (
	"testing"

	"attls/internal/seeds"
)

// TestEachRowIsASeed: what conformance/cases can inject ends as expected, and breaks no
// invariant of the engine.
func TestEachRowIsASeed(t *testing.T) {
	if Rows() < 250 {
		t.Errorf("%d rows", Rows())
	}
	for row := range Rows() {
		if err := RunRow(row, nil); err != nil {
			t.Errorf("row %d: %v", row, err)
		}
	}
}

// FuzzRow changes messages of a connection into which something is injected already.
func FuzzRow(f *testing.F) {
	seeds.Add(f, func() {
		for row := range Rows() {
			f.Add(uint16(row), []byte(nil))
			f.Add(uint16(row), []byte{byte(row) & 0x83, byte(row / 3), 100, 7})
		}
	})
	f.Fuzz(func(t *testing.T, row uint16, plan []byte) {
		seeds.Input(t, row, plan)
		if err := RunRow(int(row), plan); err != nil {
			t.Fatal(err)
		}
	})
}
