package webpage

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// missing is shown in place of a value that is not known.
const missing = "–"

// Number formats a count or a rate with three significant digits: 12, 3.4, 56.7 k, 1.23 M.
func Number(v float64) string { return scaled(v, 1000, []string{"", " k", " M", " G", " T"}) }

// Size formats a number of bytes: 12 B, 3.4 KiB.
func Size(v float64) string { return scaled(v, 1024, []string{" B", " KiB", " MiB", " GiB", " TiB"}) }

func scaled(v, base float64, units []string) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return missing
	}
	i := 0
	for ; math.Abs(v) >= base-0.5 && i < len(units)-1; i++ {
		v /= base
	}
	return digits(v) + units[i]
}

// digits formats v with three significant digits, without zeros behind the point.
func digits(v float64) string {
	if math.Abs(v) >= 100 {
		return strconv.FormatFloat(math.Round(v), 'f', -1, 64)
	}
	if math.Abs(v) < 0.01 {
		v = 0
	}
	return strconv.FormatFloat(short3(v), 'f', -1, 64)
}

// short3 rounds to three significant digits.
func short3(v float64) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

// Ratio formats 0 to 1 as a percentage.
func Ratio(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return missing
	}
	return strconv.FormatFloat(math.Round(v*1000)/10, 'f', -1, 64) + " %"
}

// Latency formats a time in seconds, as us, ms or s.
func Latency(v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return missing
	case v < 1e-3:
		return digits(v*1e6) + " µs"
	case v < 1:
		return digits(v*1e3) + " ms"
	}
	return digits(v) + " s"
}

// Age formats a duration of seconds to days in its two largest units.
func Age(d time.Duration) string {
	s := int64(d / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s%86400/3600)
}

// Share returns part over whole for [Figure], nil if it is not known.
func Share(part, whole float64) *float64 {
	v := part / whole
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	v = min(max(short(v), 0), 1)
	return &v
}
