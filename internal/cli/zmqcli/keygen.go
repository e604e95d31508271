package zmqcli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/zmq"
)

func newZMQKeygen() *cobra.Command {
	var meta []string
	var force bool
	cmd := &cobra.Command{
		Use:   "keygen [FILE]",
		Short: "Generate a CURVE key pair",
		Long: `Generate a CURVE key pair.

With FILE, write certificates in czmq's format: FILE with the public key, for
peers, and FILE_secret with both keys. Without FILE, print both keys in Z85.`,
		Example: `  lintel zmq keygen
  lintel zmq keygen server.key --meta name=broker`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && args[0] == "" {
				return cli.Usagef("%q, expected at most one file", args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			properties, err := parseMeta(meta)
			if err != nil {
				return err
			}
			key := zmq.NewSecretKey()
			if len(args) == 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "public-key = \"%v\"\nsecret-key = \"%v\"\n", key.Public(), key.Text())
				return nil
			}
			return writeCertificates(args[0], key, properties, force, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringArrayVar(&meta, "meta", nil, "`NAME=VALUE` to add to the certificates (repeatable)")
	cmd.Flags().BoolVar(&force, "force", false, "overwrite existing files")
	return cmd
}

// parseMeta parses --meta and checks that a ZPL file can hold it.
func parseMeta(meta []string) ([][2]string, error) {
	properties := make([][2]string, 0, len(meta))
	for _, m := range meta {
		name, value, ok := strings.Cut(m, "=")
		if !ok || name == "" || strings.ContainsFunc(name, notInName) {
			return nil, cli.Usagef("--meta %q, expected NAME=VALUE with a name of letters, digits and $ - _ @ . & + /", m)
		}
		if strings.ContainsAny(value, "\r\n") || strings.Contains(value, `"`) && strings.Contains(value, "'") {
			return nil, cli.Usagef("--meta %q, expected a value on one line with at most one kind of quotes", m)
		}
		properties = append(properties, [2]string{name, value})
	}
	return properties, nil
}

// notInName reports whether r is not allowed in a ZPL name.
func notInName(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune("$-_@.&+/", r)
}

// certificate returns the text of a certificate in ZPL (RFC 4).
func certificate(note string, key zmq.SecretKey, properties [][2]string, secret bool) string {
	var b strings.Builder
	b.WriteString(note)
	b.WriteString("metadata\n")
	for _, p := range properties {
		quote := `"`
		if strings.Contains(p[1], quote) {
			quote = "'"
		}
		fmt.Fprintf(&b, "    %s = %s%s%s\n", p[0], quote, p[1], quote)
	}
	fmt.Fprintf(&b, "curve\n    public-key = \"%v\"\n", key.Public())
	if secret {
		fmt.Fprintf(&b, "    secret-key = \"%v\"\n", key.Text())
	}
	return b.String()
}

// writeCertificates writes both files and prints their names.
func writeCertificates(path string, key zmq.SecretKey, properties [][2]string, force bool, stdout io.Writer) error {
	const (
		publicNote = "#   CURVE public certificate: give it to peers over a trusted channel.\n\n"
		secretNote = "#   CURVE secret certificate: keep it secret.\n\n"
	)
	files := []struct {
		path, text string
		mode       os.FileMode
	}{
		{path + "_secret", certificate(secretNote, key, properties, true), 0o600},
		{path, certificate(publicNote, key, properties, false), 0o644},
	}
	for _, f := range files {
		if _, err := os.Lstat(f.path); err == nil && !force {
			return cli.Usagef("%s exists, expected a new name or --force", f.path)
		}
	}
	for _, f := range files {
		if err := writeNew(f.path, f.text, f.mode); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "%s\n%s\n", path, path+"_secret")
	return nil
}

// writeNew writes a file under a temporary name and renames it: a crash leaves no
// partial key, and the mode of an older file does not apply.
func writeNew(path, text string, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".keygen-*")
	if err != nil {
		if fi, serr := os.Stat(filepath.Dir(path)); serr != nil || !fi.IsDir() {
			return cli.Usagef("%s: no directory %s", path, filepath.Dir(path))
		}
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
