package perfcli

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"

	"lintel.dev/internal/cli"
)

// minKey is the length of the shortest key that can hold every number.
const minKey = 8

// appendKey appends the key of number n in size bytes: padding, then the digits
// in base 36.
func appendKey(b []byte, n uint64, size int) []byte {
	var tmp [16]byte
	digits := strconv.AppendUint(tmp[:0], n, 36)
	for i := size - len(digits); i > 0; i-- {
		b = append(b, '-')
	}
	return append(b, digits...)
}

// mixBits is the finaliser of MurmurHash3: it spreads n over 64 bits.
func mixBits(n uint64) uint64 {
	n ^= n >> 33
	n *= 0xff51afd7ed558ccd
	n ^= n >> 33
	n *= 0xc4ceb9fe1a85ec53
	return n ^ n>>33
}

// valueText is the text that values are cut from. Values of the same size differ
// in where they begin.
var valueText = func() []byte {
	b := make([]byte, 1<<16)
	for i := range b {
		b[i] = byte('!' + mixBits(uint64(i)+1)%94)
	}
	return b
}()

// values makes the values of a run. Each is derived from its key.
type values struct {
	sizes sizes
	text  []byte // valueText, repeated to hold the largest value at any offset
}

func newValues(s sizes) *values {
	text := append([]byte(nil), valueText...)
	for len(text) < len(valueText)+s.max() {
		text = append(text, valueText...)
	}
	return &values{s, text}
}

// of is the value of key number n. It must not be changed.
func (v *values) of(n uint64) []byte {
	h := mixBits(n)
	from := int(h % uint64(len(valueText)))
	return v.text[from : from+v.sizes.of(h>>16)]
}

// sizes is a distribution of value sizes.
type sizes struct {
	low, high int // uniform between, if weights is empty
	weights   []weight
	total     uint64
}

type weight struct {
	size int
	upTo uint64 // sum of the weights up to this one
}

const maxValue = 1 << 30

func parseSizes(text string) (sizes, error) {
	bad := func() (sizes, error) {
		return sizes{}, cli.Usagef("--value-size %s: expected N, MIN-MAX or N:WEIGHT,N:WEIGHT,... with N up to %d", text, maxValue)
	}
	number := func(t string) (int, bool) {
		n, err := strconv.Atoi(t)
		return n, err == nil && n >= 0 && n <= maxValue
	}
	if strings.Contains(text, ":") {
		var s sizes
		for _, part := range strings.Split(text, ",") {
			a, b, _ := strings.Cut(part, ":")
			n, ok1 := number(a)
			w, ok2 := number(b)
			if !ok1 || !ok2 || w == 0 {
				return bad()
			}
			s.total += uint64(w)
			s.weights = append(s.weights, weight{n, s.total})
		}
		return s, nil
	}
	a, b, isRange := strings.Cut(text, "-")
	low, ok := number(a)
	if !isRange {
		if !ok {
			return bad()
		}
		return sizes{low: low, high: low}, nil
	}
	high, ok2 := number(b)
	if !ok || !ok2 || high < low {
		return bad()
	}
	return sizes{low: low, high: high}, nil
}

// of is the size that hash h stands for.
func (s *sizes) of(h uint64) int {
	if len(s.weights) == 0 {
		if s.low == s.high {
			return s.low
		}
		return s.low + int(h%uint64(s.high-s.low+1))
	}
	h %= s.total
	for _, w := range s.weights {
		if h < w.upTo {
			return w.size
		}
	}
	return s.weights[len(s.weights)-1].size
}

func (s *sizes) max() int {
	m := s.high
	for _, w := range s.weights {
		m = max(m, w.size)
	}
	return m
}

// chooser chooses key numbers for one connection.
type chooser struct {
	keys   uint64
	rng    *rand.Rand
	zipf   *zipf
	oneHit float64
	fresh  func() uint64 // a number never used before
}

func (c *chooser) next() uint64 {
	if c.oneHit > 0 && c.rng.Float64() < c.oneHit {
		return c.fresh()
	}
	if c.zipf != nil {
		return c.zipf.rank(c.rng.Float64())
	}
	return c.rng.Uint64N(c.keys)
}

// zipf draws ranks below n with probability proportional to 1/(rank+1)^s, for
// 0 < s < 1, by the approximation of Gray et al., "Quickly generating
// billion-record synthetic databases" (SIGMOD 1994).
type zipf struct {
	n                       float64
	alpha, eta, zetaN, half float64
}

func newZipf(n int, s float64) *zipf {
	zetaN := 0.0
	for i := 1; i <= n; i++ {
		zetaN += math.Pow(float64(i), -s)
	}
	zeta2 := 1 + math.Pow(0.5, s)
	return &zipf{
		n:     float64(n),
		alpha: 1 / (1 - s),
		eta:   (1 - math.Pow(2/float64(n), 1-s)) / (1 - zeta2/zetaN),
		zetaN: zetaN,
		half:  zeta2,
	}
}

// rank is the rank at u, a uniform number below 1.
func (z *zipf) rank(u float64) uint64 {
	switch at := u * z.zetaN; {
	case at < 1 || z.n < 2:
		return 0
	case at < z.half:
		return 1
	}
	return min(uint64(z.n*math.Pow(z.eta*u-z.eta+1, z.alpha)), uint64(z.n)-1)
}

// readTrace reads the keys of a trace, one decimal number a line, gzipped or
// not.
func readTrace(name string) ([]uint64, error) {
	err := cli.InputFile(name)
	if err != nil {
		return nil, cli.Usagef("--trace: %v", err)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, cli.Usagef("--trace: %v", err)
	}
	defer f.Close()
	var in io.Reader = bufio.NewReaderSize(f, 1<<20)
	if magic, _ := in.(*bufio.Reader).Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		if in, err = gzip.NewReader(in); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	var keys []uint64
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 40)
		if err != nil {
			return nil, cli.Usagef("%s, line %d: %.40q is not a key number, expected one decimal number a line", name, len(keys)+1, text)
		}
		keys = append(keys, n)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(keys) == 0 {
		return nil, cli.Usagef("--trace: no keys in %s", name)
	}
	return keys, nil
}
