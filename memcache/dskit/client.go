package dskit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/grafana/dskit/cache"
	"github.com/grafana/dskit/dns"
	"github.com/grafana/dskit/gate"
	"github.com/prometheus/client_golang/prometheus"

	memcache "lintel.dev/memcache/grafana"
)

// maxTTL is the longest TTL that servers take as a duration.
const maxTTL = 30 * 24 * time.Hour

// lookupTimeout bounds one resolution of all addresses.
const lookupTimeout = 10 * time.Second

// Client is a cache.Cache. It also has the methods of cache.MemcachedClient that
// are not in the interface.
type Client struct {
	name      string
	logger    log.Logger
	config    cache.MemcachedClientConfig
	client    *memcache.Client
	selector  *cache.MemcachedJumpHashSelector
	addresses *dns.Provider
	metrics   *metrics
	gate      gate.Gate
	queue     chan func()
	stop      chan struct{}
	stopping  sync.Once
	wg        sync.WaitGroup // the goroutines of the queue, and the one that resolves addresses
}

var _ cache.Cache = (*Client)(nil)

// New returns a client. It resolves the addresses of the configuration and
// returns an error if there is none. reg may be nil.
func New(logger log.Logger, name string, config cache.MemcachedClientConfig, reg prometheus.Registerer) (*Client, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	var secure *tls.Config
	if config.TLSEnabled {
		var err error
		if secure, err = config.TLS.GetTLSConfig(); err != nil {
			return nil, fmt.Errorf("TLS configuration: %w", err)
		}
	}
	selector := &cache.MemcachedJumpHashSelector{}
	client := memcache.NewFromSelector(selector)
	client.Timeout, client.ConnectTimeout = config.Timeout, config.ConnectTimeout
	client.MaxIdleConns = config.MaxIdleConnections
	client.MinIdleConnsHeadroomPercentage = config.MinIdleConnectionsHeadroomPercentage
	if secure != nil {
		client.DialTimeout = func(network, address string, timeout time.Duration) (net.Conn, error) {
			return tls.DialWithDialer(&net.Dialer{Timeout: timeout}, network, address, secure)
		}
	}
	if reg != nil {
		reg = prometheus.WrapRegistererWith(prometheus.Labels{"name": name}, reg)
	}
	reg = prometheus.WrapRegistererWith(prometheus.Labels{"backend": cache.BackendMemcached},
		prometheus.WrapRegistererWithPrefix("cache_", reg))
	c := &Client{
		name: name, logger: log.With(logger, "name", name), config: config, client: client, selector: selector,
		addresses: dns.NewProvider(dns.MiekgdnsResolverType, config.AddressesLookupPoolSize, logger, reg),
		metrics:   newMetrics(reg, config),
		gate:      gate.New(prometheus.WrapRegistererWithPrefix("getmulti_", reg), config.MaxGetMultiConcurrency),
		queue:     make(chan func(), config.MaxAsyncBufferSize),
		stop:      make(chan struct{}),
	}
	if err := c.resolve(); err != nil {
		client.Close()
		return nil, err
	}
	c.wg.Go(c.resolveAll)
	for range config.MaxAsyncConcurrency {
		c.wg.Go(c.work)
	}
	return c, nil
}

// Name returns the name of the client.
func (c *Client) Name() string { return c.name }

// Stop ends the client.
func (c *Client) Stop() {
	c.stopping.Do(func() {
		close(c.stop)
		c.wg.Wait()
		c.client.Close()
	})
}

// resolveAll resolves the addresses again and again.
func (c *Client) resolveAll() {
	ticker := time.NewTicker(c.config.AddressesLookupPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := c.resolve(); err != nil {
				level.Warn(c.logger).Log("msg", "could not update the memcached servers", "err", err)
			}
		case <-c.stop:
			return
		}
	}
}

// resolve resolves the addresses. Some may fail.
func (c *Client) resolve() error {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	if err := c.addresses.Resolve(ctx, c.config.Addresses); err != nil {
		level.Error(c.logger).Log("msg", "could not resolve memcached addresses", "addresses", c.config.Addresses.String(), "err", err)
	}
	servers := c.addresses.Addresses()
	if len(servers) == 0 {
		return fmt.Errorf("no memcached server addresses were resolved from %q", c.config.Addresses.String())
	}
	return c.selector.SetServers(servers...)
}

// work carries out asynchronous sets.
func (c *Client) work() {
	for {
		select {
		case set := <-c.queue:
			set()
		case <-c.stop:
			return
		}
	}
}

// SetAsync stores a value later. A failure is logged and counted.
func (c *Client) SetAsync(key string, value []byte, ttl time.Duration) {
	if !c.accepts(key, value, opSet) {
		return
	}
	select {
	case c.queue <- func() { _ = c.store(context.Background(), opSet, key, value, ttl, c.client.Set) }:
	default:
		c.metrics.skipped.WithLabelValues(opSet, reasonAsyncBufferFull).Inc()
		level.Debug(c.logger).Log("msg", "value not stored: the queue is full", "key", key, "buffer_size", c.config.MaxAsyncBufferSize)
	}
}

// SetMultiAsync is SetAsync for each value.
func (c *Client) SetMultiAsync(data map[string][]byte, ttl time.Duration) {
	for key, value := range data {
		c.SetAsync(key, value, ttl)
	}
}

// Set stores a value. A value that is larger than MaxItemSize is skipped, without
// an error.
func (c *Client) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return c.storeAccepted(ctx, opSet, key, value, ttl, c.client.Set)
}

// Add stores a value if there is none, else it returns cache.ErrNotStored.
func (c *Client) Add(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return c.storeAccepted(ctx, opAdd, key, value, ttl, func(it *memcache.Item) error {
		err := c.client.Add(it)
		if errors.Is(err, memcache.ErrNotStored) {
			return fmt.Errorf("%w: add %s", cache.ErrNotStored, key)
		}
		return err
	})
}

// CompareAndSwap stores a value if the item has the CAS id 0, as dskit's does:
// there is no way to pass an id.
func (c *Client) CompareAndSwap(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return c.storeAccepted(ctx, opCompareAndSwap, key, value, ttl, c.client.CompareAndSwap)
}

// accepts reports whether a value is small enough, and counts it if not.
func (c *Client) accepts(key string, value []byte, op string) bool {
	if c.config.MaxItemSize <= 0 || len(value) <= c.config.MaxItemSize {
		return true
	}
	c.metrics.skipped.WithLabelValues(op, reasonMaxItemSize).Inc()
	c.metrics.skippedSize.WithLabelValues(op).Observe(float64(len(value)))
	level.Debug(c.logger).Log("msg", "value not stored: too large", "key", key, "size", len(value), "max_item_size", c.config.MaxItemSize, "op", op)
	return false
}

func (c *Client) storeAccepted(ctx context.Context, op, key string, value []byte, ttl time.Duration, do func(*memcache.Item) error) error {
	if !c.accepts(key, value, op) {
		return nil
	}
	return c.store(ctx, op, key, value, ttl, do)
}

// store stores a value. Unlike the other operations, it is timed when it fails,
// too.
func (c *Client) store(ctx context.Context, op, key string, value []byte, ttl time.Duration, do func(*memcache.Item) error) error {
	start := time.Now()
	c.metrics.operations.WithLabelValues(op).Inc()
	seconds, err := seconds(ttl)
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case err != nil:
		err = fmt.Errorf("%w: %s %s", err, op, key)
	default:
		err = do(&memcache.Item{Key: key, Value: value, Expiration: seconds})
	}
	c.failed(op, err, "msg", "could not store a value", "key", key, "size", len(value))
	c.metrics.size.WithLabelValues(op).Observe(float64(len(value)))
	c.metrics.duration.WithLabelValues(op).Observe(time.Since(start).Seconds())
	return err
}

// seconds returns a TTL in seconds; 0 is no limit. A TTL of less than a second,
// and one that servers would take for a date, is cache.ErrInvalidTTL.
func seconds(ttl time.Duration) (int32, error) {
	if ttl != 0 && ttl < time.Second || ttl > maxTTL {
		return 0, fmt.Errorf("%w: %v", cache.ErrInvalidTTL, ttl)
	}
	return int32(ttl / time.Second), nil
}

// GetMulti returns the values of the keys that are there. An error is logged and
// counted.
func (c *Client) GetMulti(ctx context.Context, keys []string, opts ...cache.Option) map[string][]byte {
	hits, err := c.GetMultiWithError(ctx, keys, opts...)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	if err != nil {
		level.Warn(c.logger).Log("msg", "could not get values", "keys", len(keys), "first", keys[0], "err", err)
	}
	return hits
}

// GetMultiWithError is GetMulti that returns the error, beside the values of the
// servers that answered.
func (c *Client) GetMultiWithError(ctx context.Context, keys []string, opts ...cache.Option) (map[string][]byte, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	c.metrics.requests.Add(float64(len(keys)))
	if c.config.MaxGetMultiConcurrency > 0 {
		if err := c.gate.Start(ctx); err != nil {
			return map[string][]byte{}, fmt.Errorf("wait for other operations of %s: %w", c.name, err)
		}
		defer c.gate.Done()
	}
	if batch := c.config.MaxGetMultiBatchSize; batch > 0 && len(keys) > batch {
		c.metrics.servers.WithLabelValues(opGetMulti).Observe(float64(c.servers(keys)))
	}

	var options cache.Options
	for _, o := range opts {
		o(&options)
	}
	var with []memcache.Option
	if options.Alloc != nil {
		with = append(with, memcache.WithAllocator(options.Alloc))
	}
	start := time.Now()
	c.metrics.operations.WithLabelValues(opGetMulti).Inc()
	items, err := c.client.GetMulti(ctx, keys, with...)
	hits, size := make(map[string][]byte, len(items)), 0
	for key, it := range items {
		hits[key] = it.Value
		size += len(it.Value)
	}
	c.metrics.hits.Add(float64(len(hits)))
	if err == nil {
		c.metrics.size.WithLabelValues(opGetMulti).Observe(float64(size))
	}
	c.finished(opGetMulti, start, err, "msg", "could not get values")
	return hits, err
}

// servers returns how many servers hold the keys.
func (c *Client) servers(keys []string) int {
	seen := make(map[string]struct{})
	for _, key := range keys {
		if a, err := c.selector.PickServer(key); err == nil {
			seen[a.String()] = struct{}{}
		}
	}
	return len(seen)
}

// Delete removes an item.
func (c *Client) Delete(ctx context.Context, key string) error {
	return c.do(ctx, opDelete, key, func() error { return c.client.Delete(key) })
}

// Touch sets the TTL of an item.
func (c *Client) Touch(ctx context.Context, key string, ttl time.Duration) error {
	return c.do(ctx, opTouch, key, func() error { return c.client.Touch(key, int32(ttl.Seconds())) })
}

// FlushAll removes all items of all servers.
func (c *Client) FlushAll(ctx context.Context) error {
	return c.do(ctx, opFlush, "", c.client.FlushAll)
}

// Increment adds delta to a number and returns the result.
func (c *Client) Increment(ctx context.Context, key string, delta uint64) (n uint64, err error) {
	err = c.do(ctx, opIncrement, key, func() (err error) {
		n, err = c.client.Increment(key, delta)
		return err
	})
	return n, err
}

// Decrement subtracts delta from a number, down to 0, and returns the result.
func (c *Client) Decrement(ctx context.Context, key string, delta uint64) (n uint64, err error) {
	err = c.do(ctx, opDecrement, key, func() (err error) {
		n, err = c.client.Decrement(key, delta)
		return err
	})
	return n, err
}

// do carries out an operation.
func (c *Client) do(ctx context.Context, op, key string, f func() error) error {
	start := time.Now()
	c.metrics.operations.WithLabelValues(op).Inc()
	err := ctx.Err()
	if err == nil {
		err = f()
	}
	c.finished(op, start, err, "msg", "operation failed", "operation", op, "key", key)
	return err
}

// finished records the duration of an operation that succeeded, or the failure.
func (c *Client) finished(op string, start time.Time, err error, msg ...any) {
	if err == nil {
		c.metrics.duration.WithLabelValues(op).Observe(time.Since(start).Seconds())
	}
	c.failed(op, err, msg...)
}

// failed counts and logs an error, if there is one.
func (c *Client) failed(op string, err error, msg ...any) {
	if err == nil {
		return
	}
	reason := reason(err)
	c.metrics.failures.WithLabelValues(op, reason).Inc()
	severity := level.DebugValue()
	if reason == reasonOther {
		severity = level.WarnValue()
	}
	log.WithSuffix(log.WithPrefix(c.logger, level.Key(), severity), "err", err).Log(msg...)
}

// reason returns the label of an error.
func reason(err error) string {
	var connect *memcache.ConnectTimeoutError
	var network net.Error
	switch {
	case errors.As(err, &connect):
		return reasonConnectTimeout
	case errors.As(err, &network) && network.Timeout():
		return reasonTimeout
	case errors.As(err, &network):
		return reasonNetworkError
	case errors.Is(err, cache.ErrNotStored):
		return reasonNotStored
	case errors.Is(err, cache.ErrInvalidTTL):
		return reasonInvalidTTL
	case errors.Is(err, memcache.ErrMalformedKey):
		return reasonMalformedKey
	case errors.Is(err, memcache.ErrServerError):
		return reasonServerError
	case errors.Is(err, context.Canceled):
		return reasonCanceled
	}
	return reasonOther
}
