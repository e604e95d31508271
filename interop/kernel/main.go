// Command kernel is a small Jupyter kernel on package zmq: three ROUTERs, a PUB
// and a REP. Its language has four words:
//
//	add 1 2      the sum is the result
//	print TEXT   the text goes to the standard output
//	ask PROMPT   the result is what the user types
//	wait         does nothing until it is interrupted
//
// jupyter-client starts it with the path of a connection file.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
)

// connection is the connection file, with the endpoints to bind.
type connection struct {
	Transport string `json:"transport"`
	IP        string `json:"ip"`
	Shell     int    `json:"shell_port"`
	IOPub     int    `json:"iopub_port"`
	Stdin     int    `json:"stdin_port"`
	Control   int    `json:"control_port"`
	Heartbeat int    `json:"hb_port"`
	Key       string `json:"key"`
	Scheme    string `json:"signature_scheme"`
}

func (c connection) endpoint(port int) string {
	if c.Transport == "ipc" {
		return fmt.Sprintf("ipc://%s-%d", c.IP, port)
	}
	return fmt.Sprintf("%s://%s:%d", c.Transport, c.IP, port)
}

func run(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var c connection
	if err := json.Unmarshal(raw, &c); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if c.Scheme != "hmac-sha256" {
		return fmt.Errorf("%s: signature scheme %q, expected hmac-sha256", path, c.Scheme)
	}
	k, err := open(c)
	if err != nil {
		return err
	}
	return k.serve(context.Background())
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: kernel CONNECTION-FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "kernel:", err)
		os.Exit(1)
	}
}
