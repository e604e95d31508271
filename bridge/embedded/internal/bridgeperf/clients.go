package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lintel.dev/zmq"
)

// All clients but REQ send ids, so that deduplication costs them the same.

type reqClient struct {
	socket *zmq.Req
	n      int
}

func newReq(s *stack, _ int) (client, error) {
	socket, err := zmq.NewReq()
	if err != nil {
		return nil, err
	}
	_, err = socket.Connect(s.queue.Endpoints()["in REQ"][0])
	return &reqClient{socket: socket}, err
}

func (c *reqClient) put(n int) error {
	c.n = n
	return c.socket.Send(context.Background(), zmq.Msg{make([]byte, body)})
}

func (c *reqClient) result() (int, error) {
	m, err := c.socket.Recv(context.Background())
	return c.n, refused(m, 0, err)
}

func (c *reqClient) close() { c.socket.Close() }

// refused returns an error if the reply m, whose word is at index i, is none or NO.
func refused(m zmq.Msg, i int, err error) error {
	if err == nil && string(m[i]) != "OK" {
		return fmt.Errorf("reply %v", m)
	}
	return err
}

type dealerClient struct{ socket *zmq.Dealer }

func newDealer(s *stack, window int) (client, error) {
	socket, err := zmq.NewDealer(zmq.WithHWM(2 * window))
	if err != nil {
		return nil, err
	}
	_, err = socket.Connect(s.queue.Endpoints()["in DEALER"][0])
	return &dealerClient{socket}, err
}

func (c *dealerClient) put(n int) error {
	// The id is unique for the server only within one client: it has a time in it.
	id := fmt.Appendf(nil, "%d.%d", n, time.Now().UnixNano())
	return c.socket.Send(context.Background(), zmq.Msg{nil, []byte("PUT"), id, make([]byte, body)})
}

func (c *dealerClient) result() (int, error) {
	m, err := c.socket.Recv(context.Background())
	if err := refused(m, 1, err); err != nil {
		return 0, err
	}
	var n int
	_, err = fmt.Sscanf(string(m[2]), "%d.", &n)
	return n, err
}

func (c *dealerClient) close() { c.socket.Close() }

type natsClient struct {
	conn    *nats.Conn
	js      jetstream.JetStream
	results chan natsResult
}

type natsResult struct {
	n   int
	err error
}

func newNATS(s *stack, window int) (client, error) {
	conn, err := nats.Connect(s.server.URL())
	if err != nil {
		return nil, err
	}
	c := &natsClient{conn: conn, results: make(chan natsResult, window)}
	number := func(m *nats.Msg) int {
		n, _ := strconv.Atoi(m.Header.Get("N"))
		return n
	}
	c.js, err = jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(window),
		jetstream.WithPublishAsyncAckHandler(func(_ jetstream.JetStream, m *nats.Msg, _ *jetstream.PubAck) { c.results <- natsResult{number(m), nil} }),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, m *nats.Msg, err error) { c.results <- natsResult{number(m), err} }))
	if err != nil {
		return nil, err
	}
	_, err = c.js.CreateOrUpdateStream(context.Background(), jetstream.StreamConfig{
		Name: "PERF", Subjects: []string{"perf"}, Retention: jetstream.WorkQueuePolicy,
	})
	return c, err
}

func (c *natsClient) put(n int) error {
	id := fmt.Sprintf("%d.%d", n, time.Now().UnixNano())
	m := &nats.Msg{Subject: "perf", Data: make([]byte, body), Header: nats.Header{"N": {strconv.Itoa(n)}, "Nats-Msg-Id": {id}}}
	_, err := c.js.PublishMsgAsync(m, jetstream.WithStallWait(time.Minute))
	return err
}

func (c *natsClient) result() (int, error) {
	r := <-c.results
	return r.n, r.err
}

func (c *natsClient) close() { c.conn.Close() }
