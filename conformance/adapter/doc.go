// Package adapter runs TLS stacks as a file describes them: which program is a client and
// which a server, with what arguments, how a server says where it listens, and how the
// releases of the stack are known to deviate. A file starts programs directly: no shell
// reads what is in it.
package adapter
