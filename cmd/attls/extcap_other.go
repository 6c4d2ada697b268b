//go:build !unix

package main

import "context"

// watchReader has nothing to watch here: writing to a pipe without a reader fails.
func watchReader(context.Context, string, context.CancelCauseFunc) {}
