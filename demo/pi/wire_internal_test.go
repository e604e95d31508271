package pi

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPointRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, m := rapid.Uint32().Draw(t, "n"), rapid.Uint32().Draw(t, "m")
		var word uint64
		for i := 31; i >= 0; i-- {
			word = word<<2 | uint64(n>>i&1)<<1 | uint64(m>>i&1)
		}
		text := appendPoint(nil, word)
		branch, n2, m2, err := parsePoint(text)
		if err != nil || n2 != n || m2 != m {
			t.Fatalf("%s: %d %d, %v; want %d %d", text, n2, m2, err, n, m)
		}
		if !strings.HasPrefix(string(text), branches[branch]) {
			t.Fatalf("%s: branch %s", text, branches[branch])
		}
	})
}

// The example is read as Python's int(bits[::2], 2) and int(bits[1::2], 2)
// read it.
func TestPointOfAnotherProgram(t *testing.T) {
	bits := "10" + "01" + strings.Repeat("00", 28) + "11" + "01"
	branch, n, m, err := parsePoint([]byte(bits))
	if err != nil || branches[branch] != "10" || n != 0x80000002 || m != 0x40000003 {
		t.Errorf("branch %d, n %#x, m %#x, %v", branch, n, m, err)
	}
}

func TestBadPoints(t *testing.T) {
	good := strings.Repeat("01", 32)
	for _, bad := range []string{"", good[1:], good + "0", good[:63] + "2", good[:63] + "/", "\xff" + good[1:], strings.Repeat(" ", 64)} {
		if _, _, _, err := parsePoint([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestQuadrant00IsInside(t *testing.T) {
	const most = 1<<31 - 1
	sum, err := sumOfSquares(appendNumbers(nil, most, most))
	if err != nil {
		t.Fatal(err)
	}
	if in, err := inside(sum); err != nil || !in {
		t.Errorf("the farthest point of quadrant 00 is inside: %v, %v", in, err)
	}
}

func TestSumOfSquares(t *testing.T) {
	for question, want := range map[string]string{
		`[3, 4]`:                   "25",
		`[3,4]`:                    "25",
		" [ -3 ,\t4 ]\r\n":         "25",
		`[]`:                       "0",
		`[4294967295, 4294967295]`: "36893488130239234050",
		`[9007199254740993]`:       "81129638414606699710187514626049",
		`[0, 1, 2, 3]`:             "14",
	} {
		if got, err := sumOfSquares([]byte(question)); err != nil || string(got) != want {
			t.Errorf("%q: %s, %v; want %s", question, got, err, want)
		}
	}
	for _, question := range []string{
		"", "[", "]", "[3, 4", "3, 4]", "[3 4]", "[3,,4]", "[3,]", "[,3]", "[3.0, 4]", "[3e1]", `["3"]`, "null", "{}", "[-]", "[+1]", "[01]",
		"[3, 4] x", "[[3]]", "[" + strings.Repeat("9", maxDigits+1) + "]",
	} {
		if got, err := sumOfSquares([]byte(question)); err == nil {
			t.Errorf("%q: %s, want an error", question, got)
		}
	}
}

func TestInside(t *testing.T) {
	for answer, want := range map[string]bool{
		"0":                       true,
		"18446744073709551615":    true,
		"18446744073709551616":    false, // as a float64 the same number as the one above
		" 36893488130239234050\n": false,
	} {
		if got, err := inside([]byte(answer)); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", answer, got, err, want)
		}
	}
	for _, answer := range []string{"", "x", "1.0", "1e9999999999", `"1"`, "null", "[1]", "1 2", strings.Repeat("1", 1000)} {
		if _, err := inside([]byte(answer)); err == nil {
			t.Errorf("%q: want an error", answer)
		}
	}
}

func TestJudgePrefixes(t *testing.T) {
	for workers := 1; workers <= 40; workers++ {
		dealt := judgePrefixes(workers)
		covered := 0.0
		for i, prefixes := range dealt {
			if len(prefixes) == 0 {
				t.Errorf("%d workers: number %d has nothing to do", workers, i)
			}
			for _, p := range prefixes {
				if strings.HasPrefix(p, "00") {
					t.Errorf("%d workers: prefix %s is in the branch that needs no judge", workers, p)
				}
				covered += 1 / float64(int(1)<<len(p))
			}
		}
		if covered != 0.75 {
			t.Errorf("%d workers: prefixes %v cover %v of the square, want 3/4", workers, dealt, covered)
		}
	}
}

func FuzzPoint(f *testing.F) {
	f.Add([]byte(strings.Repeat("01", 32)))
	f.Add([]byte("0101"))
	f.Fuzz(func(t *testing.T, b []byte) {
		branch, n, m, err := parsePoint(b)
		if err != nil {
			return
		}
		if string(b[:2]) != branches[branch] || n>>31 != uint32(branch)>>1 || m>>31 != uint32(branch)&1 {
			t.Fatalf("%s: branch %d, n %#x, m %#x", b, branch, n, m)
		}
	})
}

// FuzzSumOfSquares compares each reply with that of encoding/json and math/big.
func FuzzSumOfSquares(f *testing.F) {
	for _, seed := range []string{"[3, 4]", "[]", "[-1]", "[4294967295,4294967295]", "[1.5]", "[", "null", `["1"]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, question []byte) {
		got, err := sumOfSquares(question)
		if err != nil {
			return
		}
		var numbers []json.Number
		if err := json.Unmarshal(question, &numbers); err != nil {
			t.Fatalf("%q was answered: %v", question, err)
		}
		want := new(big.Int)
		for _, number := range numbers {
			n, ok := new(big.Int).SetString(string(number), 10)
			if !ok {
				t.Fatalf("%q was answered", question)
			}
			want.Add(want, n.Mul(n, n))
		}
		if string(got) != want.String() {
			t.Fatalf("%q: %s, want %s", question, got, want)
		}
	})
}
