package collector_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"lintel.dev/memcache"
	"lintel.dev/memcache/collector"
	"lintel.dev/memcache/memcachetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCollector(t *testing.T) {
	m := collector.New("app")
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(m); err != nil {
		t.Fatal(err)
	}
	addr, s := memcachetest.Start(t, nil)
	c, err := memcache.New(&memcache.Options{Hooks: m.Hooks(), DialTimeout: time.Minute, ReadTimeout: time.Minute}, addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	s.Set("a", []byte("v"), 0, 0)
	c.Get(ctx, "a")
	c.Get(ctx, "none")
	c.GetMulti(ctx, []string{"a", "none", "neither"})
	c.Add(ctx, &memcache.Item{Key: "a"})
	c.Fetch(ctx, "f", memcache.FetchOptions{TTL: time.Minute}, func(context.Context) ([]byte, error) { return nil, errors.New("boom") })
	c.Close()

	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			var labels []string
			for _, l := range metric.GetLabel() {
				if l.GetName() != "server" {
					labels = append(labels, l.GetValue())
				}
			}
			v := metric.GetCounter().GetValue()
			if h := metric.GetHistogram(); h != nil {
				v = float64(h.GetSampleCount())
			}
			got[fmt.Sprintf("%s{%s}", strings.TrimPrefix(f.GetName(), "app_memcache_"), strings.Join(labels, ","))] = v
		}
	}
	for name, want := range map[string]float64{
		"requests_total{get,ok}":       1,
		"requests_total{get,miss}":     1,
		"requests_total{get_multi,ok}": 1,
		"requests_total{set,refused}":  1,
		"keys_total{yes}":              2,
		"keys_total{no}":               4,
		"request_seconds{get}":         2,
		"dials_total{ok}":              1,
		"disconnects_total{}":          1,
		"load_seconds{error}":          1,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}
