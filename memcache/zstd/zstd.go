// Package zstd is a Compressor for package codec that uses Zstandard (RFC 8878). It is
// a module of its own, so that other programs do not depend on the compressor:
//
//	users := codec.Compressed(codec.JSON[User](), 1024, zstd.New())
//
// # Examples
//
// Example in zstd_test.go stores values compressed.
package zstd

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"lintel.dev/memcache/codec"
)

// window is the largest window of a frame in bytes that is decompressed.
const window = 8 << 20

type compressor struct {
	enc      *zstd.Encoder
	decoders sync.Pool // of *zstd.Decoder
}

// New returns a Compressor, which is safe for concurrent use. It decompresses frames of
// any program if their window is 8 MiB at most.
func New() codec.Compressor {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err) // only options cause errors, and these are constant
	}
	return &compressor{enc: enc}
}

func (c *compressor) Compress(src []byte) []byte { return c.enc.EncodeAll(src, nil) }

// Decompress fails if the result would exceed limit bytes, whatever src announces.
func (c *compressor) Decompress(src []byte, limit int) ([]byte, error) {
	in := bytes.NewReader(src)
	dec, _ := c.decoders.Get().(*zstd.Decoder)
	var err error
	if dec == nil {
		dec, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window))
	} else {
		err = dec.Reset(in)
	}
	if err != nil {
		return nil, fmt.Errorf("zstd: compressed value: %w", err)
	}
	defer func() {
		_ = dec.Reset(nil) // drops the reference to src
		c.decoders.Put(dec)
	}()
	out, err := io.ReadAll(io.LimitReader(dec, int64(limit)+1))
	if err == nil && len(out) > limit {
		err = fmt.Errorf("over %d bytes", limit)
	}
	if err != nil {
		return nil, fmt.Errorf("zstd: compressed value: %w", err)
	}
	return out, nil
}
