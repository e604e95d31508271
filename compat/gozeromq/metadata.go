package zmq4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

// The properties that ZMTP defines. Others have names that begin with X-.
const (
	sysIdentity   = "Identity"
	sysSocketType = "Socket-Type"
)

// Metadata are the properties of a connection by name. Names are sent and
// received in title case, such as Socket-Type.
type Metadata map[string]string

// MarshalZMTP returns the properties as ZMTP encodes them, sorted by name. A
// name other than Identity and Socket-Type gets the prefix X-. Names that are
// empty, or that differ only in case, are an error.
func (md Metadata) MarshalZMTP() ([]byte, error) {
	var out []byte
	seen := make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(md)) {
		lower := strings.ToLower(name)
		switch {
		case name == "":
			return nil, errors.New("zmq4: property without a name")
		case seen[lower]:
			return nil, fmt.Errorf("zmq4: property %q: two names that differ only in case", name)
		}
		seen[lower] = true
		p := Property{K: name, V: md[name]}
		if name != sysIdentity && name != sysSocketType {
			p.K = "X-" + name
		}
		if len(p.K) > 255 || len(p.V) > math.MaxInt32 {
			return nil, fmt.Errorf("zmq4: property %q: got %d and %d octets, expected at most 255 and %d", name, len(p.K), len(p.V), math.MaxInt32)
		}
		out = p.append(out)
	}
	return out, nil
}

// UnmarshalZMTP adds the properties that p encodes.
func (md *Metadata) UnmarshalZMTP(p []byte) error {
	for len(p) > 0 {
		var one Property
		n, err := one.Write(p)
		if err != nil {
			return err
		}
		if *md == nil {
			*md = make(Metadata)
		}
		(*md)[one.K] = one.V
		p = p[n:]
	}
	return nil
}

// Property is one property as ZMTP encodes it.
type Property struct {
	K string
	V string
}

func (prop Property) append(b []byte) []byte {
	b = append(b, byte(len(prop.K)))
	b = append(b, title(prop.K)...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(prop.V)))
	return append(b, prop.V...)
}

// Read writes the encoded property to data. It returns io.EOF with the length,
// or io.ErrShortBuffer.
func (prop Property) Read(data []byte) (n int, err error) {
	if len(prop.K) > 255 || len(data) < 1+len(prop.K)+4+len(prop.V) {
		return 0, io.ErrShortBuffer
	}
	return len(prop.append(data[:0])), io.EOF
}

// Write sets the property to the one that data begins with. It returns how many
// octets that has, or io.ErrUnexpectedEOF.
func (prop *Property) Write(data []byte) (n int, err error) {
	if len(data) < 1 || len(data) < 1+int(data[0])+4 {
		return 0, io.ErrUnexpectedEOF
	}
	n = 1 + int(data[0])
	size := binary.BigEndian.Uint32(data[n:])
	if uint64(size) > uint64(len(data)-n-4) {
		return 0, io.ErrUnexpectedEOF
	}
	prop.K = title(string(data[1:n]))
	n += 4
	prop.V = string(data[n : n+int(size)])
	return n + int(size), nil
}

// title returns an ASCII name with a capital after each dash and lower case
// elsewhere.
func title(name string) string {
	b := []byte(name)
	first := true
	for i, c := range b {
		switch {
		case first && 'a' <= c && c <= 'z':
			b[i] = c - 'a' + 'A'
		case !first && 'A' <= c && c <= 'Z':
			b[i] = c - 'A' + 'a'
		}
		first = c == '-'
	}
	return string(b)
}
