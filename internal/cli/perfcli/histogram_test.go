package perfcli

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestHistogramBuckets(t *testing.T) {
	last := -1
	for _, v := range []int64{0, 1, 2047, 2048, 2049, 2050, 4095, 4096, 1e6, 1e9, 60e9, 1<<42 - 1} {
		i := bucket(v)
		if i < last || i >= len(histogram{}.counts) {
			t.Errorf("bucket %d of %d", i, v)
		}
		last = i
		if h := highest(i); h < v || float64(h-v) > 0.001*float64(v) {
			t.Errorf("%d is in the bucket up to %d", v, h)
		}
	}
	for i := range len(histogram{}.counts) - 1 {
		if bucket(highest(i)) != i || bucket(highest(i)+1) != i+1 {
			t.Fatalf("bucket %d ends at %d", i, highest(i))
		}
	}
}

func TestHistogramPercentiles(t *testing.T) {
	var a, b histogram
	if a.percentile(50) != 0 || a.mean() != 0 {
		t.Error("an empty histogram has values")
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var all []int64
	sum := 0.0
	for i := range 20_000 {
		v := int64(math.Exp(rng.Float64() * 24)) // up to 26 s in ns
		all = append(all, v)
		sum += float64(v)
		if i%2 == 0 {
			a.record(v)
		} else {
			b.record(v)
		}
	}
	a.add(&b)
	slices.Sort(all)
	for _, p := range []float64{1, 50, 90, 99, 99.9, 100} {
		want := all[max(int(p/100*float64(len(all))+0.5)-1, 0)]
		if got := a.percentile(p); got < want || float64(got-want) > 0.001*float64(want)+1 {
			t.Errorf("percentile %v is %d, want %d", p, got, want)
		}
	}
	if a.max != all[len(all)-1] || math.Abs(a.mean()-sum/float64(len(all))) > 1e-6*sum {
		t.Errorf("max %d, mean %v", a.max, a.mean())
	}
	a.record(-5)
	a.record(math.MaxInt64)
	if a.max != 1<<42-1 {
		t.Errorf("max %d", a.max)
	}
}
