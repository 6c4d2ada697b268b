// Package api holds the test that compares the exported names of the library with
// docs/api.txt. "make api" rewrites the list after an intended change.
package api
