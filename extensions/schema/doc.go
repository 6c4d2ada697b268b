// Package schema reads structures in the TLS presentation language (RFC 8446
// section 3) and makes codecs of them at run time.
//
// Parse turns a text into a File, a tree with the position of everything in
// it. Compile checks Files against an Environment (the types of the RFCs, the
// numbers that code points have, the outer parameters that a select may name)
// and gives a Schema. Schema.Codec fixes the Context in which a value of a type
// is, that is the message, the sender and the outer parameters, and gives a
// Codec that decodes and encodes. Files, Schemas and Codecs are immutable and
// safe to share.
//
// Beyond RFC 8446 the language takes what drafts print: several fields in one
// arm, "case a: case b:", a label after a select, a select without a semicolon
// after it (all RFC 5246), and enumerators without a number (TBD), whose number
// then is the Environment's to give.
//
// A decoded Value is a tree of numbers, octets, lists and structs. The fields
// of an arm join the struct around the select, or the label when the select has
// one; the fields of an unnamed member of an arm join likewise. So the path of
// a field is what a reader of the text would write, such as
// "server_attester_schemes[1].argument.content_format".
package schema
