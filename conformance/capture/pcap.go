// Package capture reads recorded TLS 1.3 connections: packets of a pcap or
// pcapng file, put together to two streams of octets each, opened with the
// secrets of a key log, down to handshake messages, alerts and application data.
package capture

import (
	"errors"
	"io"
	"net/netip"
	"time"

	"attls"
)

// Piece is octets that one end sent, in the order in which the capture saw them.
type Piece struct {
	Sender attls.Role
	Data   []byte
	Time   time.Time // of the packet
	// Lost is how many octets the capture misses between the sender's piece before
	// and this one; -1: it begins amid what the sender sent.
	Lost int
}

// Connection is one TCP connection of a capture.
type Connection struct {
	// Client is the end that sent the ClientHello. Without one it is the end that
	// sent the first SYN, or has the higher port where only the other's is below
	// 1024, or spoke first.
	Client, Server netip.AddrPort
	Pieces         []Piece
	// Lost is how many octets the capture misses; -1 when it begins amid the
	// connection.
	Lost int
	// Differing is how many octets were sent again with other values. The first
	// ones were taken; what the receiver took is not known.
	Differing int
	// Preamble is how many octets both ends sent in another protocol before the
	// ClientHello. They are not among the pieces.
	Preamble int
}

// File is what a capture file holds.
type File struct {
	// Connections are the TCP connections in the order in which they began.
	Connections []*Connection
	// Keys is the key log in the Decryption Secrets Blocks of a pcapng file.
	Keys KeyLog
	// Notes are sentences on what was not read and why.
	Notes []string
}

// Read reads a pcap or pcapng file, which may be gzipped, to its end. Packets
// count in the order of their times, each by the link type of its interface. Of
// a broken file it returns what can be read, with the error; the File is nil when
// it is not a capture at all.
func Read(r io.Reader) (*File, error) {
	f := &File{Keys: KeyLog{}}
	r, err := unzip(r, maxExpanded, f.note)
	if err != nil {
		return nil, err
	}
	source, err := openContainer(newInput(r), f.Keys, f.note)
	if err != nil {
		return nil, err
	}
	var segments []segment
	d := newDecoder(func(s segment) { segments = append(segments, s) })
	var broken error
	for {
		p, err := source.next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				broken = err
			}
			break
		}
		d.frame(&p)
	}
	f.Connections = assemble(segments)
	for _, n := range d.notes() {
		f.note(n)
	}
	return f, broken
}

// maxNotes bounds the sentences about a file.
const maxNotes = 40

func (f *File) note(text string) {
	for _, n := range f.Notes {
		if n == text {
			return
		}
	}
	if len(f.Notes) < maxNotes {
		f.Notes = append(f.Notes, text)
	}
}

// ReadFile is Read for those who do not look at its notes.
func ReadFile(r io.Reader) ([]*Connection, KeyLog, error) {
	f, err := Read(r)
	if f == nil {
		return nil, nil, err
	}
	return f.Connections, f.Keys, err
}
