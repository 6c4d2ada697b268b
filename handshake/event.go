package handshake

import "attls"

// EventKind says what an Event tells.
type EventKind uint8

// The kinds of event; EventNone is none, the zero value.
const (
	EventNone EventKind = iota
	// EventWait: the engine asks for something; Event.Wait says what. It is
	// answered with Answer or Fail, at any time and in any order.
	EventWait
	// EventDone: the handshake is complete, application data may be sent.
	EventDone
	// EventData: Event.Data holds application data, valid until the next Reserve.
	EventData
	// EventTicket: a NewSessionTicket arrived; Event.Data is its body and
	// Event.Session its session, nil when it is not to be kept.
	EventTicket
	// EventKeyUpdate: the peer changed its sending key.
	EventKeyUpdate
	// EventVerdict: a verdict that blocked nothing has arrived; Event.Wait is its wait.
	EventVerdict
	// EventEarlyData tells a client that early data may be sent, and
	// later whether it was accepted: Event.Early is EarlyDataOpen, then EarlyDataAccepted or EarlyDataRejected.
	EventEarlyData
	// EventKeyEpoch: the keys of an extended key update are in use in both directions;
	// Event.Epoch is the number of the update.
	EventKeyEpoch
	// EventReattested: what is attested with an extended key update is settled at both ends;
	// Event.Epoch is its number, and State has the outcomes.
	EventReattested
	// EventAuthenticated tells a server that the client has answered a request of
	// RequestAuthentication; Event.Data is its context. The client may have shown
	// no certificate: State says.
	EventAuthenticated
	// EventPostHandshake is what a Reader makes of a message that the Engine has
	// to handle, every one but KeyUpdate: give it to Engine.HandlePost, before the Reader's next
	// Next if it is an ExtendedKeyUpdate.
	EventPostHandshake
	// EventClosed: the peer sent close_notify; no data follows.
	EventClosed
	// EventError: the connection failed; Err says why. It is the last event.
	EventError
)

var eventNames = [...]string{"none", "wait", "done", "data", "ticket", "key update", "verdict", "early data",
	"key epoch", "reattested", "authenticated", "post-handshake", "closed", "error"}

func (k EventKind) String() string { return eventNames[k] }

// Event is something that happened.
type Event struct {
	Kind EventKind
	Wait *Wait
	Data []byte
	Err  *attls.Error
	// Early is EarlyDataAccepted for data that a server received before the
	// handshake was complete: it may be a replay.
	Early   EarlyDataStatus
	Session *Session
	Epoch   uint64 // of EventKeyEpoch; the first update begins epoch 1

	secret *secret // under which the peer sent the message of an EventPostHandshake
}

// EarlyDataStatus says whether early data was accepted.
type EarlyDataStatus uint8

// The stages; a client sees them in this order, up to one of the last two.
const (
	EarlyDataNone     EarlyDataStatus = iota // not offered
	EarlyDataOpen                            // a client may write it
	EarlyDataAccepted                        // the server handles it
	EarlyDataRejected                        // the server threw it away
)

var earlyNames = [...]string{"none", "open", "accepted", "rejected"}

func (s EarlyDataStatus) String() string { return earlyNames[s] }

func (e *Engine) emit(ev Event) { e.events = append(e.events, ev) }
