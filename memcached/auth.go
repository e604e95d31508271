package memcached

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"os"
	"time"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
)

// The bounds of a password file and of what a client may send to log in.
const (
	maxAccounts   = 1024
	maxAuthLine   = 256
	maxAuthToken  = 16384
	maxAuthSecret = 1024 // of a SASL exchange
)

// accounts are the users who may log in, as digests of "user:password", so
// that comparing takes the same time whatever the guess.
type accounts struct {
	digests [][sha256.Size]byte
	size    int64 // of the file they are from, and when that was changed
	changed time.Time
}

// readAccounts reads a file of user:password lines. Empty lines are skipped.
func readAccounts(path string) (*accounts, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("memcached: authentication file: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("memcached: authentication file: %w", err)
	}
	a := &accounts{size: st.Size(), changed: st.ModTime()}
	in := bufio.NewScanner(f)
	in.Buffer(make([]byte, 0, maxAuthLine+2), maxAuthLine+2)
	for line := 1; in.Scan(); line++ {
		text := bytes.TrimSuffix(in.Bytes(), []byte("\r"))
		if len(text) == 0 {
			continue
		}
		if len(text) > maxAuthLine {
			return nil, fmt.Errorf("memcached: %s:%d: longer than %d bytes", path, line, maxAuthLine)
		}
		if i := bytes.IndexByte(text, ':'); i < 1 || i == len(text)-1 {
			return nil, fmt.Errorf("memcached: %s:%d: want user:password", path, line)
		}
		if len(a.digests) == maxAccounts {
			return nil, fmt.Errorf("memcached: %s: more than %d users", path, maxAccounts)
		}
		a.digests = append(a.digests, sha256.Sum256(text))
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("memcached: %s: %w", path, err)
	}
	if len(a.digests) == 0 {
		return nil, fmt.Errorf("memcached: %s: no user:password line", path)
	}
	return a, nil
}

// check reports whether user may log in with password. All accounts are looked
// at, whichever matches.
func (a *accounts) check(user, password []byte) bool {
	h := sha256.New()
	h.Write(user)
	h.Write([]byte{':'})
	h.Write(password)
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	match := 0
	for i := range a.digests {
		match |= subtle.ConstantTimeCompare(sum[:], a.digests[i][:])
	}
	// A colon in the user name could pass for the one between the two.
	return match == 1 && !bytes.Contains(user, []byte{':'})
}

// ReloadAuth reads Options.AuthFile and Options.SASLFile again. On an error the
// users stay as they were. Connections that are logged in remain so.
func (s *Server) ReloadAuth() error {
	if s.opts.AuthFile != "" {
		a, err := readAccounts(s.opts.AuthFile)
		if err != nil {
			return err
		}
		s.auth.Store(a)
	}
	if s.opts.SASL {
		a, err := readAccounts(s.opts.SASLFile)
		if err != nil {
			return err
		}
		s.saslUsers.Store(a)
	}
	return nil
}

// saslAccounts are the users of SASL. memcached opens their file for every
// login, and so a changed one counts from the next login on; one that cannot
// be read, or says nothing sensible, changes nothing.
func (s *Server) saslAccounts() *accounts {
	now := s.saslUsers.Load()
	st, err := os.Stat(s.opts.SASLFile)
	if err != nil || st.Size() == now.size && st.ModTime().Equal(now.changed) {
		return now
	}
	if a, err := readAccounts(s.opts.SASLFile); err == nil {
		s.saslUsers.Store(a)
		return a
	}
	return now
}

// logIn handles what a client sends before it is logged in by text: the line
// in in[:end], of which the end has not arrived if end is negative. A login
// looks like a set whose data is "user password".
func (t *turn) logIn(in []byte, end int) (n int, ok bool, next netloop.Step) {
	if end < 0 {
		if len(in) > mcproto.MaxPending || in[0] == mcproto.MagicRequest {
			t.count(malformed)
			return 0, false, netloop.Close
		}
		return 0, false, netloop.NeedMore
	}
	n = end + 1
	line := bytes.TrimSuffix(in[:end], []byte("\r"))
	if n < 6 || in[0] == mcproto.MagicRequest {
		t.count(malformed)
		return n, true, netloop.Close
	}
	verb, rest := mcproto.Next(line)
	switch {
	case string(line) == "quit":
		return n, true, netloop.Close
	case string(verb) != "set" || line[0] == ' ':
		t.reply("CLIENT_ERROR unauthenticated")
		return n, true, netloop.NeedMore
	}
	var length []byte
	for range 4 {
		length, rest = mcproto.Next(rest)
	}
	size, good := mcproto.ParseLength(length)
	switch {
	case len(length) == 0 || !good && len(length) > 0 && length[0]-'0' > 9:
		t.reply(mcproto.ErrFormat)
		return n, true, netloop.NeedMore
	case !good || size > maxAuthToken:
		t.reply("CLIENT_ERROR auth token too long")
		return n, true, netloop.NeedMore
	}
	need := size + 2
	if len(in)-n < need {
		t.await(line, in[n:], need)
		return len(in), true, netloop.NeedMore
	}
	return n + need, true, t.token(in[n : n+need])
}

// token checks the data of a login.
func (t *turn) token(data []byte) netloop.Step {
	if !bytes.HasSuffix(data, []byte("\r\n")) {
		t.reply("CLIENT_ERROR bad command line termination")
		return netloop.NeedMore
	}
	user, password, ok := bytes.Cut(data[:len(data)-2], []byte(" "))
	if !ok {
		t.reply("CLIENT_ERROR bad authentication token format")
		return netloop.NeedMore
	}
	t.count(authCmds)
	if !t.srv.auth.Load().check(user, password) {
		t.count(authErrors)
		t.reply("CLIENT_ERROR authentication failure")
		return netloop.NeedMore
	}
	t.authed = true
	t.reply("STORED")
	return netloop.NeedMore
}
