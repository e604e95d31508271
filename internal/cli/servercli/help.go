package servercli

import (
	"fmt"
	"strings"

	"lintel.dev/memcached"
)

const (
	helpWidth  = 80
	helpColumn = 28 // where the texts begin
)

// serverExamples are command lines that the help shows.
var serverExamples = []string{
	"-p 11211 -m 1024 -t 4 -l 127.0.0.1",
	"-s /tmp/cache.sock -a 770",
	"-m 256 --instances 3 --http 127.0.0.1:9150",
	"-m 1024 --invalidate tcp://*:11311",
}

// serverHelp returns what -h prints. Its first line is memcached's: scripts
// read the version from it.
func serverHelp(program, build string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "memcached %s\n", memcached.DefaultVersion)
	fmt.Fprintf(&b, "Lintel %s, a cache server with memcached's protocols and flags.\n\n", build)
	fmt.Fprintf(&b, "Usage: %s [flags]\n\nFlags:\n", program)
	for _, inert := range []bool{false, true} {
		if inert {
			b.WriteString("\nAccepted, without effect:\n")
		}
		for i := range serverFlags {
			if f := &serverFlags[i]; f.inert == inert {
				helpLine(&b, f.name(), f.help)
			}
		}
	}
	b.WriteString("\n")
	helpSuboptions(&b)
	b.WriteString("\nExamples:\n")
	for _, args := range serverExamples {
		b.WriteString("  " + program + " " + args + "\n")
	}
	return b.String()
}

// serverManual returns the description of the manual page.
func serverManual() string {
	var b strings.Builder
	b.WriteString(`Run a cache server with memcached's protocols and flags.

Started as memcached, the program is this command. It then requires -u when root
starts it, and logs from level warn on.

SIGINT, SIGTERM and SIGUSR1 stop the server; the file of -e keeps the items.
SIGHUP reads the password file and the certificates again.

`)
	helpSuboptions(&b)
	return b.String()
}

// helpSuboptions writes the options of -o.
func helpSuboptions(b *strings.Builder) {
	b.WriteString("Options of -o:\n")
	for _, inert := range []bool{false, true} {
		if inert {
			b.WriteString("\nOptions of -o that only change what stats settings shows:\n")
		}
		for i := range suboptions {
			if o := &suboptions[i]; o.inert == inert && o.help != "" {
				helpLine(b, "  "+o.usage(), o.help)
			}
		}
	}
	b.WriteString("\nslab_reassign, slab_automove, lru_maintainer and inline_ascii_resp may have the\nprefix no_. slab_*, lru_* and hash* describe memcached's allocator, which this\nserver does not have.\n")
}

// name returns the flag as the help shows it.
func (f *serverFlag) name() string {
	var b strings.Builder
	switch {
	case f.short == 0:
		b.WriteString("    ")
	case f.hidesLong:
		fmt.Fprintf(&b, "-%c <%s>", f.short, f.arg)
		return b.String()
	default:
		fmt.Fprintf(&b, "-%c, ", f.short)
	}
	b.WriteString("--" + f.long)
	if f.arg != "" {
		b.WriteString("=<" + f.arg + ">")
	}
	return b.String()
}

// helpLine writes a name and its text, wrapped at helpWidth.
func helpLine(b *strings.Builder, name, help string) {
	column := len(name)
	b.WriteString(name)
	if column >= helpColumn {
		b.WriteByte('\n')
		column = 0
	}
	empty := true
	for _, word := range strings.Fields(help) {
		if !empty && column+1+len(word) > helpWidth {
			b.WriteByte('\n')
			column, empty = 0, true
		}
		if empty {
			fmt.Fprintf(b, "%*s%s", helpColumn-column, "", word)
			column, empty = helpColumn+len(word), false
			continue
		}
		b.WriteString(" " + word)
		column += 1 + len(word)
	}
	b.WriteByte('\n')
}
