// Package auth reads files of users and checks their passwords.
//
// A file has lines of the form user:password. [Users] keeps only a digest of
// each line. A Users is immutable and safe for concurrent use.
package auth

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"os"
	"time"
)

// The bounds of a file.
const (
	maxUsers = 1024
	maxLine  = 256 // bytes
)

// Users are the users who may log in. Each is kept as the digest of
// "user:password": comparing digests takes the same time for every guess.
type Users struct {
	path    string
	digests [][sha256.Size]byte
	size    int64 // of the file
	changed time.Time
}

// Read reads a file of user:password lines. It skips empty lines. It fails if
// there is no user, more than 1024 users or a line over 256 bytes.
func Read(path string) (*Users, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("password file: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("password file: %w", err)
	}
	a := &Users{path: path, size: st.Size(), changed: st.ModTime()}
	in := bufio.NewScanner(f)
	in.Buffer(make([]byte, 0, maxLine+2), maxLine+2)
	for line := 1; in.Scan(); line++ {
		text := bytes.TrimSuffix(in.Bytes(), []byte("\r"))
		if len(text) == 0 {
			continue
		}
		if len(text) > maxLine {
			return nil, fmt.Errorf("%s:%d: line is longer than %d bytes", path, line, maxLine)
		}
		if i := bytes.IndexByte(text, ':'); i < 1 || i == len(text)-1 {
			return nil, fmt.Errorf("%s:%d: expected user:password", path, line)
		}
		if len(a.digests) == maxUsers {
			return nil, fmt.Errorf("%s: more than %d users", path, maxUsers)
		}
		a.digests = append(a.digests, sha256.Sum256(text))
	}
	if err := in.Err(); err == bufio.ErrTooLong {
		return nil, fmt.Errorf("%s: a line is longer than %d bytes, expected user:password", path, maxLine)
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(a.digests) == 0 {
		return nil, fmt.Errorf("%s: no user:password line", path)
	}
	return a, nil
}

// Check reports whether user may log in with password. It compares with every
// user, so that the time does not tell which one matched.
func (a *Users) Check(user, password []byte) bool {
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
	// "a:b" with password "c" has the digest of "a" with password "b:c".
	return match == 1 && !bytes.Contains(user, []byte{':'})
}

// Refresh returns the users of a's file, read again if its size or time has
// changed. It returns a if the file cannot be read, is not valid or is no file any more.
func (a *Users) Refresh() *Users {
	st, err := os.Stat(a.path)
	if err != nil || !st.Mode().IsRegular() || st.Size() == a.size && st.ModTime().Equal(a.changed) {
		return a
	}
	if b, err := Read(a.path); err == nil {
		return b
	}
	return a
}
