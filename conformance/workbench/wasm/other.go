//go:build !js || !wasm

package main

import "fmt"

func main() {
	fmt.Println(`This program is for browsers: "attls workbench" builds and serves it.`)
}
