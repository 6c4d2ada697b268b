package record

import "sync"

// Readers and Writers take storage from pools and give it back when nothing is in
// it, as most connections are idle most of the time. No connection finds octets of
// another in it: a Reader, whose room others may look into, gives it back cleared;
// a Writer hands out nothing that it has not written, and clears what it has not
// encrypted.

// The sizes of pooled storage in octets: for small records and flights, for a
// flight with certificates, for a record, and for several records.
const (
	smallRoom  = 1 << 10
	flightRoom = 19 << 8  // what an allocation of little more than 4096 octets takes
	recordRoom = 17 << 10 // MaxPlaintext and maxExpansion fit
	bulkRoom   = 66 << 10
)

type rooms struct{ small, flight, record, bulk sync.Pool }

var readerRooms, writerRooms rooms

// take returns at least n octets.
func (p *rooms) take(n int) []byte {
	switch {
	case n <= smallRoom:
		if b, ok := p.small.Get().(*[smallRoom]byte); ok {
			return b[:]
		}
	case n <= flightRoom:
		if b, ok := p.flight.Get().(*[flightRoom]byte); ok {
			return b[:]
		}
	case n <= recordRoom:
		if b, ok := p.record.Get().(*[recordRoom]byte); ok {
			return b[:]
		}
	case n <= bulkRoom:
		if b, ok := p.bulk.Get().(*[bulkRoom]byte); ok {
			return b[:]
		}
	}
	return make([]byte, RoomFor(n))
}

// give takes storage back whose first octets are cleared. What has another size
// is left to the garbage collector.
func (p *rooms) give(b []byte, secret int) {
	b = b[:cap(b)]
	clear(b[:secret])
	switch len(b) {
	case smallRoom:
		p.small.Put((*[smallRoom]byte)(b))
	case flightRoom:
		p.flight.Put((*[flightRoom]byte)(b))
	case recordRoom:
		p.record.Put((*[recordRoom]byte)(b))
	case bulkRoom:
		p.bulk.Put((*[bulkRoom]byte)(b))
	}
}

// RoomFor is the smallest size of pooled storage with n octets, or n where there
// is none. Of these sizes Reserve takes storage from a pool.
func RoomFor(n int) int {
	for _, size := range [...]int{smallRoom, flightRoom, recordRoom, bulkRoom} {
		if size >= n {
			return size
		}
	}
	return n
}
