package memcached

import "strconv"

// traceFrom is the level of verbosity from which Options.Trace is told, and
// traceMost the bytes of a command or reply that it is told of.
const (
	traceFrom = 2
	traceMost = 1 << 10
)

// traced reports whether somebody wants to know.
func (s *Server) traced() bool {
	return s.opts.Trace != nil && s.verbosity.Load() >= traceFrom
}

// trace tells Options.Trace of text that came ('<') or goes ('>').
func (t *turn) trace(direction byte, text []byte) {
	b := append(make([]byte, 0, 64+min(len(text), traceMost)), direction)
	b = append(strconv.AppendInt(b, int64(t.conn.ID()), 10), ' ')
	quoted := strconv.AppendQuoteToASCII(nil, string(text[:min(len(text), traceMost)]))
	b = append(b, quoted[1:len(quoted)-1]...)
	if len(text) > traceMost {
		b = append(b, "..."...)
	}
	t.srv.opts.Trace(string(b))
}

// traceFrame tells Options.Trace of a binary command.
func (t *turn) traceFrame(op byte, key []byte) {
	t.trace('<', append(append([]byte("binary 0x"), hexDigits[op>>4], hexDigits[op&15], ' '), key...))
}

const hexDigits = "0123456789abcdef"
