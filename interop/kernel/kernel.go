package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"lintel.dev/zmq"
)

// kernel has the sockets and the state of the execution.
type kernel struct {
	codec
	shell, control, stdin *zmq.Router
	iopub                 *zmq.Pub
	heartbeat             *zmq.Rep

	executions int // of the shell's goroutine

	mu        sync.Mutex
	interrupt context.CancelFunc // of what is being executed; protected by mu
}

type object map[string]any

func open(c connection) (*kernel, error) {
	k := &kernel{codec: codec{key: []byte(c.Key), session: rand.Text()}}
	var errs [5]error
	k.shell, errs[0] = zmq.NewRouter()
	k.control, errs[1] = zmq.NewRouter()
	k.stdin, errs[2] = zmq.NewRouter()
	k.iopub, errs[3] = zmq.NewPub()
	k.heartbeat, errs[4] = zmq.NewRep()
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	for port, s := range map[int]zmq.Socket{
		c.Shell: k.shell, c.Control: k.control, c.Stdin: k.stdin, c.IOPub: k.iopub, c.Heartbeat: k.heartbeat,
	} {
		if _, err := s.Bind(c.endpoint(port)); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// serve runs until a client requests a shutdown. The heartbeat answers
// independently of the other sockets.
func (k *kernel) serve(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = k.heartbeat.Serve(ctx, func(_ context.Context, m zmq.Msg) (zmq.Msg, error) { return m, nil })
	})
	wg.Go(func() { k.answer(ctx, k.shell, end) })
	wg.Go(func() { k.answer(ctx, k.control, end) })
	wg.Wait()
	var errs []error
	for _, s := range []zmq.Socket{k.shell, k.control, k.stdin, k.iopub, k.heartbeat} {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// answer handles the requests of one socket, in order.
func (k *kernel) answer(ctx context.Context, s *zmq.Router, end func()) {
	for frames, err := range s.Messages(ctx) {
		if err != nil {
			return
		}
		m, err := k.parse(frames)
		if err != nil {
			fmt.Fprintln(os.Stderr, "kernel:", err)
			continue
		}
		k.publish(m, "status", object{"execution_state": "busy"})
		reply := k.handle(ctx, m)
		if reply == nil {
			reply = object{"status": "error", "ename": "unknown request", "evalue": m.header.Type, "traceback": []string{}}
		}
		k.send(ctx, s, m, strings.Replace(m.header.Type, "_request", "_reply", 1), reply)
		k.publish(m, "status", object{"execution_state": "idle"})
		if m.header.Type == "shutdown_request" {
			end()
		}
	}
}

func (k *kernel) handle(ctx context.Context, m message) object {
	switch m.header.Type {
	case "kernel_info_request":
		return object{
			"status": "ok", "protocol_version": "5.3", "implementation": "lintel", "implementation_version": "1",
			"language_info": object{"name": "words", "version": "1", "mimetype": "text/plain", "file_extension": ".txt"},
			"banner":        "four words", "help_links": []object{},
		}
	case "execute_request":
		return k.execute(ctx, m)
	case "interrupt_request":
		k.mu.Lock()
		if k.interrupt != nil {
			k.interrupt()
		}
		k.mu.Unlock()
		return object{"status": "ok"}
	case "shutdown_request":
		var c struct{ Restart bool }
		_ = json.Unmarshal(m.content, &c)
		return object{"status": "ok", "restart": c.Restart}
	}
	return nil
}

// execute runs one line of the language.
func (k *kernel) execute(ctx context.Context, m message) object {
	var c struct{ Code string }
	if err := json.Unmarshal(m.content, &c); err != nil {
		return object{"status": "error", "ename": "SyntaxError", "evalue": err.Error(), "traceback": []string{}}
	}
	k.executions++
	n := k.executions
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	k.mu.Lock()
	k.interrupt = cancel
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		k.interrupt = nil
		k.mu.Unlock()
	}()
	k.publish(m, "execute_input", object{"code": c.Code, "execution_count": n})
	result, err := k.evaluate(ctx, m, c.Code)
	if err != nil {
		e := object{"ename": "Error", "evalue": err.Error(), "traceback": []string{err.Error()}}
		if ctx.Err() != nil {
			e["ename"] = "Interrupted"
		}
		k.publish(m, "error", e)
		e["status"], e["execution_count"] = "error", n
		return e
	}
	if result != "" {
		k.publish(m, "execute_result", object{
			"execution_count": n, "data": object{"text/plain": result}, "metadata": object{},
		})
	}
	return object{"status": "ok", "execution_count": n, "payload": []object{}, "user_expressions": object{}}
}

func (k *kernel) evaluate(ctx context.Context, m message, code string) (result string, err error) {
	word, rest, _ := strings.Cut(code, " ")
	switch word {
	case "add":
		sum := 0
		for _, f := range strings.Fields(rest) {
			n, err := strconv.Atoi(f)
			if err != nil {
				return "", err
			}
			sum += n
		}
		return strconv.Itoa(sum), nil
	case "print":
		k.publish(m, "stream", object{"name": "stdout", "text": rest + "\n"})
		return "", nil
	case "ask":
		return k.ask(ctx, m, rest)
	case "wait":
		k.publish(m, "stream", object{"name": "stdout", "text": "waiting\n"})
		<-ctx.Done()
		return "", ctx.Err()
	}
	return "", fmt.Errorf("no word %q", word)
}

// ask requests input from the user of the client that sent m.
func (k *kernel) ask(ctx context.Context, m message, prompt string) (string, error) {
	k.send(ctx, k.stdin, m, "input_request", object{"prompt": prompt, "password": false})
	for {
		frames, err := k.stdin.Recv(ctx)
		if err != nil {
			return "", err
		}
		reply, err := k.parse(frames)
		if err != nil || reply.header.Type != "input_reply" {
			continue
		}
		var c struct{ Value string }
		err = json.Unmarshal(reply.content, &c)
		return c.Value, err
	}
}

// send sends a reply to the sender of m.
func (k *kernel) send(ctx context.Context, s *zmq.Router, m message, typ string, content object) {
	frames, err := k.build(m.route, typ, m.header, content)
	if err == nil {
		err = s.Send(context.WithoutCancel(ctx), frames)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kernel:", err)
	}
}

// publish publishes a message with m as its parent to all clients.
func (k *kernel) publish(m message, typ string, content object) {
	frames, err := k.build(zmq.NewMsg("kernel."+typ), typ, m.header, content)
	if err == nil {
		err = k.iopub.Send(context.Background(), frames)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kernel:", err)
	}
}
