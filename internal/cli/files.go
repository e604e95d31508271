package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// InputFile returns an error unless path is a file that can be read without
// waiting: a regular file, or a pipe that the shell has opened for
// <(command). A FIFO without a writer would block until there is one.
func InputFile(path string) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	if fi.Mode()&fs.ModeNamedPipe != 0 && (strings.HasPrefix(path, "/dev/fd/") || strings.HasPrefix(path, "/proc/self/fd/")) {
		return nil
	}
	return regular(path, fi)
}

// OutputFile returns an error unless path is a regular file, or does not exist
// in a directory that does.
func OutputFile(path string) error {
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		dir := filepath.Dir(path)
		if link, lerr := os.Lstat(path); lerr == nil && link.Mode()&fs.ModeSymlink != 0 {
			return fmt.Errorf("%s is a link to a file that does not exist", path)
		}
		if fi, err = os.Stat(dir); err == nil && !fi.IsDir() {
			err = fmt.Errorf("%s is not a directory", dir)
		}
		return err
	}
	if err != nil {
		return err
	}
	return regular(path, fi)
}

// ReadFile is os.ReadFile for the files of InputFile.
func ReadFile(path string) ([]byte, error) {
	if err := InputFile(path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

func regular(path string, fi fs.FileInfo) error {
	kind := "a special file"
	switch mode := fi.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		kind = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a FIFO"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	}
	return fmt.Errorf("%s is %s, not a file", path, kind)
}
