module lintel.dev/memcache/zstd

go 1.26.0

replace lintel.dev => ../../

require (
	github.com/klauspost/compress v1.20.1
	go.uber.org/goleak v1.3.0
	lintel.dev v0.0.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
