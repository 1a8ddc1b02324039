// Command wasm-fetch reads what `cargo xtask push` has pushed, with the packages of those who read it later.
//
//	wasm-fetch module [-sha256 SUM] [-pull-secret CONFIG] URL FILE
//	wasm-fetch artifact [-layers N] MODULE REFERENCE
//	wasm-fetch unpack [-platform OS/ARCH] REFERENCE FOLDER
//
// module pulls a module as Istio's agent does, with the agent's own package; URL and SUM are those of a WasmPlugin
// (spec.url, spec.sha256), CONFIG is a file with what a pull secret has under .dockerconfigjson. artifact pushes a module as
// an artifact, not as an image. unpack pulls an image for one kind of machine, unpacks it and prints who starts what.
//
// It ends with 1 where the reader would refuse.
package main

import (
	"fmt"
	"os"
)

var commands = map[string]func([]string) error{
	"module":   module,
	"artifact": artifact,
	"unpack":   unpack,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: wasm-fetch module|artifact|unpack ...")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
