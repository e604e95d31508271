package certificate_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"lintel.dev/zmq"
	"lintel.dev/zmq/certificate"
)

// A server lets in the clients whose public certificates are in a directory.
func Example() {
	dir, err := os.MkdirTemp("", "certificates")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	serverSecret, secret := zmq.NewSecretKey(), zmq.NewSecretKey()
	file := fmt.Sprintf("metadata\n    name = \"coffee machine\"\ncurve\n    public-key = \"%s\"\n", secret.Public())
	if err := os.WriteFile(filepath.Join(dir, "machine.key"), []byte(file), 0o600); err != nil {
		log.Fatal(err)
	}

	allowed, err := certificate.Directory(dir)
	if err != nil {
		log.Fatal(err)
	}
	server, err := zmq.NewPull(zmq.WithCurveServer(serverSecret), zmq.WithAuthenticator(allowed))
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	endpoint, err := server.Bind("tcp://127.0.0.1:*")
	if err != nil {
		log.Fatal(err)
	}
	client, err := zmq.NewPush(zmq.WithCurve(secret, serverSecret.Public()))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Connect(endpoint.Addr()); err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	if err := client.SendBytes(ctx, []byte("out of beans")); err != nil {
		log.Fatal(err)
	}
	msg, from, err := server.RecvFrom(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %s\n", from.Properties["name"], msg[0])
	// Output: coffee machine: out of beans
}
