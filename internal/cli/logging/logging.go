package logging

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
)

// Format is how records are written.
type Format int

// The formats.
const (
	Text Format = iota
	JSON
)

// Formats and Levels are the values of --log-format and --log-level.
var (
	Formats = []string{"text", "json"}
	Levels  = []string{"debug", "info", "warn", "error"}
)

// Flags are --log-format and --log-level. The zero value is text and info.
type Flags struct {
	Format Format
	Level  slog.Level
}

// SetFormat sets the format by its name.
func (f *Flags) SetFormat(name string) error {
	switch name {
	case "text":
		f.Format = Text
	case "json":
		f.Format = JSON
	default:
		return errors.New("expected text or json")
	}
	return nil
}

// SetLevel sets the level by its name.
func (f *Flags) SetLevel(name string) error {
	switch name {
	case "debug":
		f.Level = slog.LevelDebug
	case "info":
		f.Level = slog.LevelInfo
	case "warn":
		f.Level = slog.LevelWarn
	case "error":
		f.Level = slog.LevelError
	default:
		return errors.New("expected debug, info, warn or error")
	}
	return nil
}

// Add adds the flags to cmd.
func (f *Flags) Add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Func("log-format", "`FORMAT` of the log on stderr: text or json (default text)", f.SetFormat)
	flags.Func("log-level", "log from this `LEVEL` on: debug, info, warn or error (default info)", f.SetLevel)
	cli.Must(cmd.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions(Formats, cobra.ShellCompDirectiveNoFileComp)))
	cli.Must(cmd.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions(Levels, cobra.ShellCompDirectiveNoFileComp)))
}

// New returns the logger of the flags. It writes each record to w with one Write.
func (f *Flags) New(w io.Writer) *slog.Logger { return New(w, f.Format, f.Level) }

// New returns a logger that writes the records from level on to w, each with one
// Write.
func New(w io.Writer, format Format, level slog.Leveler) *slog.Logger {
	if format == JSON {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
	}
	out := &output{w: w, journal: isJournal(w)}
	return slog.New(&textHandler{out, slog.NewTextHandler(&out.line, &slog.HandlerOptions{Level: level, ReplaceAttr: onlyAttributes})})
}

// Failed returns err for the caller to return from its command. If log writes JSON or
// to the journal, Failed logs err and returns an error with the same exit status that
// prints nothing, so that the output consists of records. Usage errors stay as they are.
func Failed(log *slog.Logger, err error) error {
	h, isText := log.Handler().(*textHandler)
	if err == nil || isText && !h.out.journal || cli.IsUsage(err) || err.Error() == "" {
		return err
	}
	log.Error(err.Error())
	return cli.Exit(cli.Status(err), nil)
}

// List is the value of an attribute that ends the sentence of its message, such as
// the addresses after "listens on". In text, it follows the message without the name
// of the attribute. In JSON, it is an array.
type List []string

// output is shared by a handler and those derived from it.
type output struct {
	w       io.Writer
	journal bool

	mu   sync.Mutex // guards line, and serialises writes
	line bytes.Buffer
}

// textHandler writes the text format. attrs writes the attributes into out.line.
type textHandler struct {
	out   *output
	attrs slog.Handler
}

// onlyAttributes is the ReplaceAttr of a handler that leaves out the level and the
// empty message.
func onlyAttributes(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 {
		_, isLevel := a.Value.Any().(slog.Level)
		if isLevel || a.Key == slog.MessageKey && a.Value.String() == "" {
			return slog.Attr{}
		}
	}
	return a
}

func (h *textHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.attrs.Enabled(ctx, level)
}

func (h *textHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &textHandler{h.out, h.attrs.WithAttrs(attrs)}
}

func (h *textHandler) WithGroup(name string) slog.Handler {
	return &textHandler{h.out, h.attrs.WithGroup(name)}
}

// timeFormat is RFC 3339 with milliseconds.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

func (h *textHandler) Handle(ctx context.Context, r slog.Record) error {
	message := r.Message
	rest := slog.Record{Level: r.Level} // without time and message, which are written here
	r.Attrs(func(a slog.Attr) bool {
		if list, ok := a.Value.Any().(List); ok {
			message += " " + strings.Join(list, ", ")
		} else {
			rest.AddAttrs(a)
		}
		return true
	})
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	line := &h.out.line
	line.Reset()
	if h.out.journal {
		line.WriteString(priority(r.Level))
	} else {
		line.Write(r.Time.AppendFormat(line.AvailableBuffer(), timeFormat))
		line.WriteString(" " + r.Level.String() + " ")
	}
	line.WriteString(printable(message))
	end := line.Len()
	line.WriteByte(' ')
	if err := h.attrs.Handle(ctx, rest); err != nil {
		return err
	}
	if line.Len() == end+len(" \n") { // no attributes
		line.Truncate(end)
		line.WriteByte('\n')
	}
	_, err := h.out.w.Write(line.Bytes())
	return err
}

// priority returns the prefix for a level that systemd reads from a stream: see
// sd-daemon(3).
func priority(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "<3>"
	case level >= slog.LevelWarn:
		return "<4>"
	case level >= slog.LevelInfo:
		return "<6>"
	}
	return "<7>"
}

// printable returns s with Go's escapes for what is not printable, so that a message
// is one line and cannot control a terminal.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		quoted := strconv.Quote(s)
		return quoted[1 : len(quoted)-1]
	}
	return s
}
