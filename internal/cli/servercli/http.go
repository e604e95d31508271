package servercli

import (
	"context"
	"errors"
	"log/slog"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"lintel.dev/internal/cli/webpage"
	"lintel.dev/memcached/collector"
)

// startHTTP serves the page and the metrics of the servers on --http until ctx is done.
func (s *serverSettings) startHTTP(ctx context.Context, tasks *errgroup.Group, all []*instance, log *slog.Logger) error {
	registry, err := metrics(all, s.build)
	if err != nil {
		return err
	}
	monitors := make([]*monitor, len(all))
	for i, in := range all {
		monitors[i] = &monitor{name: in.name(), server: in.server}
	}
	err = webpage.Start(ctx, tasks, s.http, registry, func() webpage.View { return s.view(monitors) }, log)
	if err == nil {
		tasks.Go(func() error { watchServers(ctx, monitors); return nil })
	}
	return err
}

// metrics returns a registry with the metrics of the servers and of the process. With
// several servers the label instance_number tells them apart.
func metrics(all []*instance, build string) (*prometheus.Registry, error) {
	registry := webpage.NewRegistry(build)
	var errs []error
	for i, in := range all {
		var r prometheus.Registerer = registry
		if len(all) > 1 {
			r = prometheus.WrapRegistererWith(prometheus.Labels{"instance_number": strconv.Itoa(i)}, registry)
		}
		errs = append(errs, r.Register(collector.New(in.server)))
	}
	return registry, errors.Join(errs...)
}
