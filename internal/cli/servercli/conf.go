package servercli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"lintel.dev/internal/cli"
)

// givenFlag is a flag of the command line with its value.
type givenFlag struct {
	flag  *serverFlag
	value string
}

// accumulates reports whether several of a flag add up, in a file and on the
// command line.
func (f *serverFlag) accumulates() bool { return f.short == 'o' || f.short == 'v' }

// readConf applies the flags of the file of --conf, then those of the command
// line again: a flag of the command line replaces that of the file.
//
// The file has the format of Debian's /etc/memcached.conf: flags as on the
// command line, any number on a line; comments from # on; quotes as in a shell.
// As with Debian's scripts, lines that begin with -d or -h, and words that are
// not flags, such as logfile, have no effect.
func (s *serverSettings) readConf() error {
	text, err := cli.ReadFile(s.conf)
	if err != nil {
		return cli.Usagef("--conf: %w", err)
	}
	given := slices.DeleteFunc(slices.Clone(s.given), func(g givenFlag) bool { return g.flag.long == "conf" })
	fresh := newSettings()
	fresh.build = s.build
	fs := pflag.NewFlagSet("conf", pflag.ContinueOnError)
	fresh.addFlags(fs)
	fs.VisitAll(func(f *pflag.Flag) {
		v := f.Value.(*flagValue)
		v.ignored = !v.flag.accumulates() && slices.ContainsFunc(given, func(g givenFlag) bool { return g.flag == v.flag })
	})
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		words, err := confWords(line)
		if err == nil && len(words) > 0 {
			if words[0][0] != '-' {
				if words[0] == "logfile" { // in Debian's default file, without effect under systemd
					continue
				}
				fresh.warnings = append(fresh.warnings, fmt.Sprintf("%s:%d: %s is ignored", s.conf, n, words[0]))
				continue
			}
			if err = fs.Parse(words); err != nil {
				err = flagError(err)
			} else if fs.NArg() > 0 {
				err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
			}
		}
		if err == nil && fresh.conf != "" {
			err = fmt.Errorf("--conf is only for the command line")
		}
		if err != nil {
			return cli.Usagef("%s:%d: %w", s.conf, n, err)
		}
	}
	fresh.daemon, fresh.help, fresh.license, fresh.version = false, false, false, false
	for _, g := range given {
		if err := g.flag.set(fresh, g.value); err != nil {
			return err
		}
	}
	*s = *fresh
	return nil
}

// confWords returns the words of a line of the file, none for a comment and for
// lines that have no effect.
func confWords(line string) ([]string, error) {
	var words []string
	var word []byte
	started := false
	var quote byte
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "-d") || strings.HasPrefix(line, "-h") {
		return nil, nil
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\\' && quote != '\'' && i+1 < len(line):
			i++
			word, started = append(word, line[i]), true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word = append(word, c)
		case c == '\'' || c == '"':
			quote, started = c, true
		case c == '#':
			i = len(line)
		case c == ' ' || c == '\t':
			if started {
				words, word, started = append(words, string(word)), nil, false
			}
		default:
			word, started = append(word, c), true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("no closing %c", quote)
	}
	if started {
		words = append(words, string(word))
	}
	if len(words) > 0 && words[0] == "" {
		return nil, fmt.Errorf("an empty word")
	}
	return words, nil
}
