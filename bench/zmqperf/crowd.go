package main

import (
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// echoFrame is a message of 64 octets on the wire.
const echoFrame = 66

// bareCrowd and bareClients are the floor of many clients that have one message
// under way each: a goroutine for each net.Conn at both ends.
func bareCrowd(at string, clients int) error {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return err
	}
	defer l.Close()
	var wg sync.WaitGroup
	for range clients {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		wg.Go(func() {
			defer c.Close()
			b := make([]byte, echoFrame)
			for {
				n, err := c.Read(b)
				if err == nil {
					_, err = c.Write(b[:n])
				}
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return nil
}

func bareClients(at string, clients, count int) error {
	conns := make([]net.Conn, clients)
	for i := range conns {
		c, err := dial(at)
		if err != nil {
			return err
		}
		defer c.Close()
		conns[i] = c
	}
	errs := make(chan error, clients)
	start := time.Now()
	for i, c := range conns {
		share := count / clients
		if i < count%clients {
			share++
		}
		go func() {
			b := make([]byte, echoFrame)
			var err error
			for ; share > 0 && err == nil; share-- {
				if _, err = c.Write(b); err == nil {
					_, err = io.ReadFull(c, b)
				}
			}
			errs <- err
		}()
	}
	for range conns {
		if err := <-errs; err != nil {
			return err
		}
	}
	fmt.Printf("echoes %.0f\n", float64(count)/time.Since(start).Seconds())
	return nil
}
