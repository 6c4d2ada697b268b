//go:build !attls_workbench

package site

// embedded is the engine in this program, which has none.
var embedded Files
