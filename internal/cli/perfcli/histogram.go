package perfcli

import "math/bits"

// Values below linearBelow have a bucket each. Above, each power of two has
// linearBelow/2 buckets, so that a bucket is at most 0.1 % of its value wide.
const (
	linearBelow = 2048
	perPower    = linearBelow / 2
	maxValueLog = 42 // values are below 2^42 ns, 73 minutes
)

// histogram counts values from 0 to 2^42-1 with an error of at most 0.1 %. It is
// not safe for concurrent use.
type histogram struct {
	counts [linearBelow + (maxValueLog-11)*perPower]uint64
	count  uint64
	sum    float64
	max    int64
}

// bucket returns the bucket of v.
func bucket(v int64) int {
	if v < linearBelow {
		return int(v)
	}
	shift := bits.Len64(uint64(v)) - 11
	return linearBelow + (shift-1)*perPower + int(v>>shift) - perPower
}

// highest returns the largest value of a bucket.
func highest(i int) int64 {
	if i < linearBelow {
		return int64(i)
	}
	i -= linearBelow
	shift := i/perPower + 1
	return (int64(i%perPower+perPower)+1)<<shift - 1
}

// record counts v. Values out of range count as the nearest one in range.
func (h *histogram) record(v int64) {
	v = min(max(v, 0), 1<<maxValueLog-1)
	h.counts[bucket(v)]++
	h.count++
	h.sum += float64(v)
	h.max = max(h.max, v)
}

// add adds the values of o.
func (h *histogram) add(o *histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.count += o.count
	h.sum += o.sum
	h.max = max(h.max, o.max)
}

// mean returns the mean of the values, 0 without any.
func (h *histogram) mean() float64 {
	if h.count == 0 {
		return 0
	}
	return h.sum / float64(h.count)
}

// percentile returns a value that p per cent of the values do not exceed, 0
// without any.
func (h *histogram) percentile(p float64) int64 {
	left := uint64(p/100*float64(h.count) + 0.5)
	left = min(max(left, 1), h.count)
	for i, n := range h.counts {
		if n >= left && left > 0 {
			return min(highest(i), h.max)
		}
		left -= n
	}
	return h.max
}
