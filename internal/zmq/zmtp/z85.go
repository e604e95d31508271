package zmtp

import (
	"encoding/binary"
	"fmt"
	"math"
)

const z85Digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

// z85Values maps a digit to its value plus one; 0 marks all other bytes.
var z85Values = func() (v [256]byte) {
	for i := range len(z85Digits) {
		v[z85Digits[i]] = byte(i + 1)
	}
	return v
}()

// EncodeZ85 writes binary as text by RFC 32. The length of src has to be a
// multiple of 4.
func EncodeZ85(src []byte) (string, error) {
	if len(src)%4 != 0 {
		return "", fmt.Errorf("zmtp: Z85 of %d bytes, expected a multiple of 4", len(src))
	}
	dst := make([]byte, 0, len(src)/4*5)
	for ; len(src) > 0; src = src[4:] {
		v := binary.BigEndian.Uint32(src)
		for div := uint32(85 * 85 * 85 * 85); div > 0; div /= 85 {
			dst = append(dst, z85Digits[v/div%85])
		}
	}
	return string(dst), nil
}

// DecodeZ85 reads what EncodeZ85 wrote.
func DecodeZ85(s string) ([]byte, error) {
	if len(s)%5 != 0 {
		return nil, fmt.Errorf("zmtp: Z85 text of %d characters, expected a multiple of 5", len(s))
	}
	dst := make([]byte, 0, len(s)/5*4)
	var v uint64
	for i := range len(s) {
		digit := z85Values[s[i]]
		if digit == 0 {
			return nil, fmt.Errorf("zmtp: Z85 text has %q at %d, which is no digit", s[i], i)
		}
		v = v*85 + uint64(digit-1)
		if i%5 == 4 {
			if v > math.MaxUint32 {
				return nil, fmt.Errorf("zmtp: Z85 text %q is beyond four bytes", s[i-4:i+1])
			}
			dst = binary.BigEndian.AppendUint32(dst, uint32(v))
			v = 0
		}
	}
	return dst, nil
}
