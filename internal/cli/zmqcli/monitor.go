package zmqcli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

func newZMQMonitor() *cobra.Command {
	var f zmqFlags
	names := make([]string, len(zmqTypes))
	for i, t := range zmqTypes {
		names[i] = t.name
	}
	cmd := &cobra.Command{
		Use:   "monitor TYPE [flags]",
		Short: "Print the connection events of a socket",
		Long: `Print the connection events of a socket, one a line: time, event, endpoint,
addresses and error. Received messages are discarded.`,
		Example: `  lintel zmq monitor rep --bind tcp://127.0.0.1:5558
  lintel zmq monitor sub --connect tcp://127.0.0.1:5556 --subscribe '' \
      --timeout 10s --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return cli.Usagef("monitor: %d socket types, expected one of %s", len(args), strings.Join(names, " "))
			}
			if !slices.Contains(names, strings.ToLower(args[0])) {
				return cli.Usagef("unknown socket type %q%s, expected one of %s", args[0], cli.DidYouMean(args[0], "", names), strings.Join(names, " "))
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			s, err := f.open(args[0])
			if err != nil {
				return err
			}
			return monitorSocket(cmd, s, &f)
		},
	}
	f.addSocket(cmd)
	cmd.Flags().IntVar(&f.count, "count", 0, "stop after `N` events")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 0, "stop after this time")
	return cmd
}

// monitorSocket prints events until --count, --timeout or an interrupt.
func monitorSocket(cmd *cobra.Command, s zmq.Socket, f *zmqFlags) error {
	ctx := cmd.Context()
	if f.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.timeout)
		defer cancel()
	}
	events := s.Events(ctx) // before Bind, so that its event is shown
	failed := f.attach(s, printTo(cmd.ErrOrStderr()))
	if failed != nil {
		failed = errors.Join(failed, s.Close()) // events until then are shown
	}
	discarded := make(chan struct{})
	discard, stop := context.WithCancel(ctx)
	go func() {
		defer close(discarded)
		if r, ok := s.(zmq.Receiver); ok {
			for m, err := range r.Messages(discard) {
				if err != nil {
					return
				}
				m.Release()
			}
		}
	}()
	print, n := eventText, 0
	if f.json {
		print = eventJSON
	}
	var err error
	for e := range events {
		if _, err = fmt.Fprintln(cmd.OutOrStdout(), print(e)); err != nil {
			break
		}
		if n++; n == f.count {
			break
		}
	}
	stop()
	err = errors.Join(failed, err, s.Close())
	<-discarded
	return err
}

// eventText formats an event as text.
func eventText(e event.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %v", e.Time.Format(time.RFC3339Nano), e.Type)
	for _, field := range []struct{ name, value string }{{"endpoint", e.Endpoint}, {"local", e.Local}, {"remote", e.Remote}} {
		if field.value != "" {
			fmt.Fprintf(&b, " %s=%s", field.name, field.value)
		}
	}
	if e.Interval > 0 {
		fmt.Fprintf(&b, " interval=%v", e.Interval)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, " status=%d", e.Status)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, " error=%q", e.Err.Error())
	}
	if e.Lost > 0 {
		fmt.Fprintf(&b, " lost=%d", e.Lost)
	}
	if e.Packets > 0 {
		fmt.Fprintf(&b, " packets=%d", e.Packets)
	}
	return b.String()
}

// eventJSON formats an event as JSON.
func eventJSON(e event.Event) string {
	out := struct {
		Time       time.Time `json:"time"`
		Event      string    `json:"event"`
		Code       uint32    `json:"code"`
		Endpoint   string    `json:"endpoint,omitempty"`
		Local      string    `json:"local,omitempty"`
		Remote     string    `json:"remote,omitempty"`
		IntervalMS float64   `json:"interval_ms,omitempty"`
		Status     uint32    `json:"status,omitempty"`
		Error      string    `json:"error,omitempty"`
		Lost       int       `json:"lost,omitempty"`
		Packets    int       `json:"packets,omitempty"`
	}{
		Time: e.Time, Event: e.Type.String(), Code: uint32(e.Type), Endpoint: e.Endpoint, Local: e.Local, Remote: e.Remote,
		IntervalMS: float64(e.Interval) / float64(time.Millisecond), Status: e.Status, Lost: e.Lost, Packets: e.Packets,
	}
	if e.Err != nil {
		out.Error = e.Err.Error()
	}
	b, err := json.Marshal(out)
	if err != nil {
		return fmt.Sprintf("{%q:%q}", "error", err) // not reached: no field can fail
	}
	return string(b)
}
