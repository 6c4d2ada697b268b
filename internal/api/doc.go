// Package api holds the test that compares the exported names of the library with
// docs/api.txt. "make api" writes the list anew after a change that is meant.
package api
