// Package attls holds the vocabulary that every room of the project shares:
// the code points of TLS 1.3, the two roles, the kinds of handshake message,
// and the one Error type with its closed list of failures.
//
// Nothing here acts. The package imports only the standard library and every
// other package of the module may import it.
package attls
