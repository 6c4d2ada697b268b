// Package claims is what one end says of one connection (docs/claims.md), and
// whether the two ends of a connection agree. Other stacks make claims too: the
// format is JSON, and Unclaimed names what a stack cannot say.
package claims
