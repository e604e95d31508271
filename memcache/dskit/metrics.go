package dskit

import (
	"fmt"
	"strconv"
	"time"

	"github.com/grafana/dskit/cache"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// The values of the label operation.
const (
	opAdd            = "add"
	opSet            = "set"
	opGetMulti       = "getmulti"
	opDelete         = "delete"
	opDecrement      = "decrement"
	opIncrement      = "increment"
	opTouch          = "touch"
	opFlush          = "flushall"
	opCompareAndSwap = "compareswap"
)

// The values of the label reason.
const (
	reasonMaxItemSize     = "max-item-size"
	reasonAsyncBufferFull = "async-buffer-full"
	reasonMalformedKey    = "malformed-key"
	reasonInvalidTTL      = "invalid-ttl"
	reasonNotStored       = "not-stored"
	reasonConnectTimeout  = "connect-timeout"
	reasonTimeout         = "request-timeout"
	reasonServerError     = "server-error"
	reasonNetworkError    = "network-error"
	reasonCanceled        = "canceled"
	reasonOther           = "other"
)

var (
	operations = []string{opAdd, opSet, opGetMulti, opDelete, opDecrement, opIncrement, opTouch, opFlush, opCompareAndSwap}
	reasons    = []string{
		reasonMalformedKey, reasonInvalidTTL, reasonNotStored, reasonConnectTimeout, reasonTimeout,
		reasonServerError, reasonNetworkError, reasonCanceled, reasonOther,
	}
)

// metrics are dskit's metrics of a cache client.
type metrics struct {
	requests, hits prometheus.Counter
	operations     *prometheus.CounterVec
	failures       *prometheus.CounterVec
	skipped        *prometheus.CounterVec
	duration       *prometheus.HistogramVec
	size           *prometheus.HistogramVec
	skippedSize    *prometheus.HistogramVec
	servers        *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer, config cache.MemcachedClientConfig) *metrics {
	make := promauto.With(reg)
	histogram := func(name, help string, buckets ...float64) *prometheus.HistogramVec {
		return make.NewHistogramVec(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: buckets, NativeHistogramBucketFactor: 1.1,
		}, []string{"operation"})
	}
	const kib, mib = 1 << 10, 1 << 20
	sizes := []float64{32, 256, 512, kib, 32 * kib, 256 * kib, 512 * kib, mib, 32 * mib, 256 * mib, 512 * mib}
	m := &metrics{
		requests: make.NewCounter(prometheus.CounterOpts{Name: "requests_total", Help: "Keys that were asked for."}),
		hits:     make.NewCounter(prometheus.CounterOpts{Name: "hits_total", Help: "Keys that were found."}),
		operations: make.NewCounterVec(prometheus.CounterOpts{
			Name: "operations_total", Help: "Operations that were started.",
		}, []string{"operation"}),
		failures: make.NewCounterVec(prometheus.CounterOpts{
			Name: "operation_failures_total", Help: "Operations that failed.",
		}, []string{"operation", "reason"}),
		skipped: make.NewCounterVec(prometheus.CounterOpts{
			Name: "operation_skipped_total", Help: "Operations that were not started.",
		}, []string{"operation", "reason"}),
		duration: make.NewHistogramVec(prometheus.HistogramOpts{
			Name: "operation_duration_seconds", Help: "Duration of operations.",
			Buckets:                         []float64{0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 3, 6, 10},
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"operation"}),
		size:        histogram("operation_data_size_bytes", "Size of the values that were stored or found.", sizes...),
		skippedSize: histogram("operation_skipped_data_size_bytes", "Size of the values that were too large to be stored.", sizes...),
		servers: histogram("operation_servers_touched", "Servers that one operation of many keys asked.",
			1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
	}
	for _, op := range operations {
		m.operations.WithLabelValues(op)
		m.duration.WithLabelValues(op)
		for _, reason := range reasons {
			m.failures.WithLabelValues(op, reason)
		}
	}
	for _, op := range []string{opGetMulti, opAdd, opSet} {
		m.skipped.WithLabelValues(op, reasonMaxItemSize)
	}
	m.skipped.WithLabelValues(opSet, reasonAsyncBufferFull)
	for _, op := range []string{opGetMulti, opAdd, opSet, opCompareAndSwap} {
		m.size.WithLabelValues(op)
	}
	for _, op := range []string{opAdd, opSet, opCompareAndSwap} {
		m.skippedSize.WithLabelValues(op)
	}
	m.servers.WithLabelValues(opGetMulti)
	make.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "client_info",
		Help: "The configuration of the client, as labels. The value is 1.",
		ConstLabels: prometheus.Labels{
			"timeout": config.Timeout.String(),
			// The characters after the number are dskit's: dashboards may have them.
			"min_idle_connections_headroom_percentage": fmt.Sprintf("%f.2", config.MinIdleConnectionsHeadroomPercentage),
			"max_idle_connections":                     strconv.Itoa(config.MaxIdleConnections),
			"max_async_concurrency":                    strconv.Itoa(config.MaxAsyncConcurrency),
			"max_async_buffer_size":                    strconv.Itoa(config.MaxAsyncBufferSize),
			"max_item_size":                            strconv.Itoa(config.MaxItemSize),
			"max_get_multi_concurrency":                strconv.Itoa(config.MaxGetMultiConcurrency),
			"max_get_multi_batch_size":                 strconv.Itoa(config.MaxGetMultiBatchSize),
		},
	}, func() float64 { return 1 })
	return m
}
