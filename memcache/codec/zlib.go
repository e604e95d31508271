package codec

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
)

// maxInflated is the largest decompressed value in bytes.
const maxInflated = 64 << 20

// Zlib is the Compressor of compress/zlib (RFC 1950).
var Zlib Compressor = zlibCompressor{}

type zlibCompressor struct{}

func (zlibCompressor) Compress(src []byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write(src) // a bytes.Buffer never fails
	w.Close()
	return b.Bytes()
}

func (zlibCompressor) Decompress(src []byte, limit int) ([]byte, error) {
	r, err := zlib.NewReader(bytes.NewReader(src))
	if err != nil {
		return nil, fmt.Errorf("codec: compressed value: %w", err)
	}
	return inflate(r, limit)
}

func inflate(r io.Reader, limit int) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("codec: compressed value: %w", err)
	}
	if len(b) > limit {
		return nil, fmt.Errorf("%w: compressed value expands to more than %d bytes", ErrEncoding, limit)
	}
	return b, nil
}

func gunzip(src []byte, limit int) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(src))
	if err != nil {
		return nil, fmt.Errorf("codec: compressed value: %w", err)
	}
	return inflate(r, limit)
}

func gzipped(src []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(src) // a bytes.Buffer never fails
	w.Close()
	return b.Bytes()
}

// sized decompresses PHP's form: a little-endian length followed by zlib data.
func sized(src []byte, limit int) ([]byte, error) {
	if len(src) < 4 {
		return nil, fmt.Errorf("codec: compressed value has %d bytes, expected 4 or more", len(src))
	}
	b, err := Zlib.Decompress(src[4:], limit)
	if err == nil && int(binary.LittleEndian.Uint32(src)) != len(b) {
		err = fmt.Errorf("codec: compressed value has a length field of %d, but %d bytes", binary.LittleEndian.Uint32(src), len(b))
	}
	return b, err
}
