// Package campaign hunts for connections in which an engine accepts what it must not.
//
// An Input is a scenario and a few edits of one end, the attacker: messages, extensions,
// fields and answers that are dropped, doubled, moved, replaced by values of other
// connections or given lengths that lie. The other end is honest and is judged. Inputs
// are readable files. A Campaign makes them from a seed, continues many connections from
// one prefix (handshake.Engine.Fork), and keeps those that reach something new.
//
// Laws say what an honest end must not accept. They are written over the messages that
// arrived and over what the harness knows: which keys an end holds, what was signed and
// which Evidence was made in this connection. No law asks another engine.
//
// The ends run with quick symbolic cryptography, under which a wrong key, a signature of
// another connection and a changed transcript fail as they do in earnest.
package campaign
