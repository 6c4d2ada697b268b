//go:build attls_workbench

package site

import "embed"

// The files that release.sh puts there.
//
//go:embed engine/attls.wasm.gz engine/wasm_exec.js
var engineFS embed.FS

// embedded is the engine in this program.
var embedded = func() Files {
	files := Files{}
	for _, name := range []string{engineFile, glueFile} {
		b, err := engineFS.ReadFile("engine/" + name)
		if err != nil {
			panic(err) // the compiler has seen them
		}
		files[name] = b
	}
	return files
}()
