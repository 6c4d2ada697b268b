//go:build js && wasm

// The program wasm is the engine of the workbench for a browser: it defines the function
// attlsCall(method, request, done), which calls done with a reply in JSON.
package main

import (
	"encoding/json"
	"runtime/debug"
	"syscall/js"

	"attls/conformance/workbench"
)

func main() {
	debug.SetGCPercent(400) // a page has the memory, and one thread for everything
	debug.SetMaxStack(64 << 20)
	engine := workbench.New()
	type call struct {
		method, request string
		done            js.Value
	}
	calls := make(chan call, 64)
	js.Global().Set("attlsCall", js.FuncOf(func(_ js.Value, args []js.Value) any {
		calls <- call{args[0].String(), args[1].String(), args[2]}
		return nil
	}))
	js.Global().Call("attlsReady")
	for c := range calls {
		reply := engine.Call(c.method, []byte(c.request))
		text, err := json.Marshal(reply)
		if err != nil {
			text, _ = json.Marshal(workbench.Reply{Error: err.Error()})
		}
		c.done.Invoke(string(text))
	}
}
