package handshake

// SetNumbers lets tests begin at other numbers of tickets and requests.
func (e *Engine) SetNumbers(n uint32) { e.ticketsAsked, e.post.asked = n, n }

// HoldAnswers keeps the goroutine from running that sends what is ready beside Write.
func (c *Conn) HoldAnswers() { c.sending.Store(true) }
