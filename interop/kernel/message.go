package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lintel.dev/zmq"
)

// header names a message of the Jupyter protocol.
type header struct {
	ID       string `json:"msg_id"`
	Session  string `json:"session"`
	Username string `json:"username"`
	Date     string `json:"date"`
	Type     string `json:"msg_type"`
	Version  string `json:"version"`
}

// message is a parsed message of the Jupyter protocol.
type message struct {
	route   zmq.Msg // the frames in front of the delimiter
	header  header
	content json.RawMessage
}

const delimiter = "<IDS|MSG>"

var errSignature = errors.New("message with a wrong signature")

// codec signs messages and checks signatures.
type codec struct {
	key     []byte
	session string
}

func (c codec) sign(parts zmq.Msg) string {
	if len(c.key) == 0 {
		return ""
	}
	mac := hmac.New(sha256.New, c.key)
	for _, p := range parts {
		mac.Write(p)
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// parse parses a message: routing ids, delimiter, signature, header, parent
// header, metadata, content, and buffers, which are not used here.
func (c codec) parse(frames zmq.Msg) (message, error) {
	at := 0
	for at < len(frames) && string(frames[at]) != delimiter {
		at++
	}
	if len(frames) < at+6 {
		return message{}, fmt.Errorf("message of %d frames behind its delimiter, expected at least 5", len(frames)-at-1)
	}
	body := frames[at+2 : at+6]
	if !hmac.Equal([]byte(c.sign(body)), frames[at+1]) {
		return message{}, errSignature
	}
	m := message{route: frames[:at:at], content: json.RawMessage(body[3])}
	return m, json.Unmarshal(body[0], &m.header)
}

// build returns a message with the given parent.
func (c codec) build(route zmq.Msg, typ string, parent header, content any) (zmq.Msg, error) {
	h := header{
		ID: rand.Text(), Session: c.session, Username: "kernel",
		Date: time.Now().UTC().Format(time.RFC3339Nano), Type: typ, Version: "5.3",
	}
	var parts zmq.Msg
	for _, v := range []any{h, parent, struct{}{}, content} {
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		parts = append(parts, raw)
	}
	m := append(route, []byte(delimiter), []byte(c.sign(parts)))
	return append(m, parts...), nil
}
