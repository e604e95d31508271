// Command manual writes what is derived from the commands of lintel and
// lintel-bridge: their man pages and the completions of three shells. It is a module
// of its own, so that neither program links the renderer of man pages. It is below
// bridge/ because only packages there may import the commands of lintel-bridge.
//
//	go run . DIR    # or: make man
//
// The test compares the files of deploy/ with what the commands say now.
package main
