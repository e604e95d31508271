//go:build unix && !linux

package servercli

import (
	"errors"

	"golang.org/x/sys/unix"
)

func dup2(from, to int) error { return unix.Dup2(from, to) }

func lockMemory() error { return errors.New("not available on this system") }
