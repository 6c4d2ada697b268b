package lab

import (
	"fmt"
	"io"
	"net"
	"time"

	"attls"
	"attls/conformance/capture"
	"attls/conformance/scenario"
	"attls/conformance/trace"
	"attls/handshake"
)

// WriteCapture writes the connections of a run, in the order in which they were opened, as
// pcapng with the secrets that open them. It needs a run with details.
func (d *Detail) WriteCapture(w io.Writer) error {
	now := epoch
	out, err := capture.NewWriter(w, func() time.Time {
		now = now.Add(time.Millisecond)
		return now
	})
	if err != nil {
		return err
	}
	for _, c := range d.connections {
		c.log(out)
		p := &played{}
		conn := out.Conn(p, attls.RoleClient)
		for _, chunk := range c.chunks {
			if chunk.from == attls.RoleClient {
				_, _ = conn.Write(chunk.octets)
				continue
			}
			p.next = chunk.octets
			if _, err := io.ReadFull(conn, make([]byte, len(chunk.octets))); err != nil {
				return err
			}
		}
		if err := conn.Close(); err != nil {
			return err
		}
	}
	return out.Flush()
}

// chunk is what one end sent at once.
type chunk struct {
	from   attls.Role
	octets []byte
}

// log writes what the honest ends have derived.
func (c *connection) log(w *capture.Writer) {
	for _, role := range attls.Roles() {
		t := c.taps[role]
		hello := t.find(attls.KindClientHello)
		if !c.honest[role] || len(hello) < 38 {
			continue
		}
		var private []trace.Secret
		for _, name := range []handshake.SecretName{handshake.SecretClientEarly, handshake.SecretClientHandshake,
			handshake.SecretServerHandshake, handshake.SecretClientTraffic, handshake.SecretServerTraffic,
			handshake.SecretExporter} {
			if b := t.secrets[name]; b != nil {
				fmt.Fprintf(w.KeyLog(), "%s %x %x\n", name, hello[6:38], b)
			}
		}
		for _, name := range []handshake.SecretName{handshake.SecretECDHE, handshake.SecretHandshake,
			handshake.SecretMain} {
			if b := t.secrets[name]; b != nil {
				private = append(private, trace.Secret{Name: string(name), Value: fmt.Sprintf("%x", b)})
			}
		}
		scenario.LogSecrets(w.KeyLog(), hello[6:38], private)
		return
	}
}

// played is a connection of which only what it carried is left.
type played struct{ next []byte }

func (p *played) Read(b []byte) (int, error) {
	n := copy(b, p.next)
	p.next = p.next[n:]
	return n, nil
}

func (p *played) Write(b []byte) (int, error)    { return len(b), nil }
func (*played) Close() error                     { return nil }
func (*played) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (*played) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (*played) SetDeadline(time.Time) error      { return nil }
func (*played) SetReadDeadline(time.Time) error  { return nil }
func (*played) SetWriteDeadline(time.Time) error { return nil }
