package memcache

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
)

// maxInflated bounds what a compressed value may grow to.
const maxInflated = 64 << 20

// Zlib is a Compressor of the standard library's (RFC 1950).
var Zlib Compressor = zlibCompressor{}

type zlibCompressor struct{}

func (zlibCompressor) Compress(src []byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write(src) // to memory: never fails
	w.Close()
	return b.Bytes()
}

func (zlibCompressor) Decompress(src []byte, limit int) ([]byte, error) {
	r, err := zlib.NewReader(bytes.NewReader(src))
	if err != nil {
		return nil, fmt.Errorf("memcache: compressed value: %w", err)
	}
	return inflate(r, limit)
}

func inflate(r io.Reader, limit int) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("memcache: compressed value: %w", err)
	}
	if len(b) > limit {
		return nil, fmt.Errorf("%w: decompressed, it is over %d bytes", ErrTooLarge, limit)
	}
	return b, nil
}

func gunzip(src []byte, limit int) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(src))
	if err != nil {
		return nil, fmt.Errorf("memcache: compressed value: %w", err)
	}
	return inflate(r, limit)
}

func gzipped(src []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(src) // to memory: never fails
	w.Close()
	return b.Bytes()
}

// sized is PHP's form: the length, as its machine stores it, and zlib data.
func sized(src []byte, limit int) ([]byte, error) {
	if len(src) < 4 {
		return nil, fmt.Errorf("memcache: compressed value of %d bytes", len(src))
	}
	b, err := Zlib.Decompress(src[4:], limit)
	if err == nil && int(binary.LittleEndian.Uint32(src)) != len(b) {
		err = fmt.Errorf("memcache: compressed value says %d bytes and has %d", binary.LittleEndian.Uint32(src), len(b))
	}
	return b, err
}
