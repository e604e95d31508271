package zmtp

import (
	"encoding/binary"
	"strings"
)

// Names of the properties that sockets exchange.
const (
	PropertySocketType = "Socket-Type"
	PropertyIdentity   = "Identity"
	PropertyResource   = "Resource"
	PropertyDrain      = "X-Lintel-Drain" // this side answers DRAIN
)

// MaxMetadata bounds the encoded properties of one handshake, in bytes.
const MaxMetadata = 8192

// MaxHandshake bounds the body of a frame before the handshake is over.
const MaxHandshake = MaxMetadata + 512

// Property is one name and value of the metadata. Names compare without case
// and are 1 to 255 bytes long.
type Property struct {
	Name  string
	Value []byte
}

// Metadata has properties in the order in which they were sent.
type Metadata []Property

// Get returns the value of the first property of that name, in any case.
func (m Metadata) Get(name string) (value []byte, ok bool) {
	for _, p := range m {
		if strings.EqualFold(p.Name, name) {
			return p.Value, true
		}
	}
	return nil, false
}

func (m Metadata) append(dst []byte) []byte {
	for _, p := range m {
		dst = AppendProperty(dst, p.Name, p.Value)
	}
	return dst
}

// AppendProperty appends the wire form of one property. The name has 1 to 255
// bytes; longer ones are cut.
func AppendProperty(dst []byte, name string, value []byte) []byte {
	name = name[:min(len(name), 255)]
	dst = append(dst, byte(len(name)))
	dst = append(dst, name...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(value)))
	return append(dst, value...)
}

// ParseMetadata reads properties to the end of b, at most MaxMetadata bytes.
// The result keeps no reference to b. A repeated name is an error.
func ParseMetadata(b []byte) (Metadata, error) {
	if len(b) > MaxMetadata {
		return nil, errorf(CodeInvalidMetadata, "metadata of %d bytes, expected at most %d", len(b), MaxMetadata)
	}
	b = append([]byte(nil), b...)
	var m Metadata
	for len(b) > 0 {
		n := int(b[0])
		if n == 0 {
			return nil, errorf(CodeInvalidMetadata, "metadata property without a name")
		}
		if len(b) < 1+n+4 {
			return nil, errorf(CodeInvalidMetadata, "metadata property cut short in its name")
		}
		name := string(b[1 : 1+n])
		size := binary.BigEndian.Uint32(b[1+n:])
		b = b[1+n+4:]
		if uint64(size) > uint64(len(b)) {
			return nil, errorf(CodeInvalidMetadata, "metadata property %q of %d bytes, only %d follow", name, size, len(b))
		}
		if _, twice := m.Get(name); twice {
			return nil, errorf(CodeInvalidMetadata, "metadata property %q comes twice", name)
		}
		m = append(m, Property{Name: name, Value: b[:size:size]})
		b = b[size:]
	}
	return m, nil
}
