package handshake

import "net"

// received is the result of one Read.
type received struct {
	n   int
	err error
}

// pump reads for the handshake, which meanwhile writes or waits for answers.
type pump struct {
	requests chan []byte
	results  chan received
	busy     bool
}

func startPump(nc net.Conn) *pump {
	p := &pump{requests: make(chan []byte), results: make(chan received, 1)}
	go func() {
		for b := range p.requests {
			n, err := nc.Read(b)
			p.results <- received{n, err}
		}
	}()
	return p
}
