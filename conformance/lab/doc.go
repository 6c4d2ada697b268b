// Package lab runs attacks on attested TLS that are written as data, against every
// profile, and compares each with its control.
//
// A script says who the honest parties are, what the attacker M is capable of, what M
// does, and what each honest party must conclude. M is made of engines of its own, one
// for each connection with an honest party, and of taps on them: nothing of an attack is
// in the engine. The loader refuses a step that needs a capability which the script does
// not grant; the runner keeps what M knows, and a step can use nothing else.
//
// The outcome of a run is one of three: the relying party accepted, an honest party
// rejected (which, where, with which alert), or the attack cannot be mounted (at which
// step, and why). A control is the same run with one capability taken away or one fact
// made honest, whose outcome must be the other one.
//
// Relying parties that leave a check out ([Lax]) exist in this package only, and only in
// its runs.
package lab
