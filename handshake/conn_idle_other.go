//go:build !unix

package handshake

// idleReader is for Unix: elsewhere a Conn that waits for input holds a buffer.
type idleReader struct{}

func newIdleReader(*Conn) *idleReader { return nil }

func (*idleReader) read() (int, error) { panic("attls: there is no idleReader") }
