module lintel.dev/bridge

go 1.26.0

replace lintel.dev => ../

require go.uber.org/goleak v1.3.0

require (
	github.com/coder/websocket v1.8.15 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	lintel.dev v0.0.0
)
