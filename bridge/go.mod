module lintel.dev/bridge

go 1.26.0

replace lintel.dev => ../

require (
	github.com/nats-io/nats.go v1.55.0
	go.uber.org/goleak v1.3.0
	lintel.dev v0.0.0
)

require (
	github.com/coder/websocket v1.8.15 // indirect
	github.com/klauspost/compress v1.20.0 // indirect
	github.com/nats-io/nkeys v0.4.16 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
