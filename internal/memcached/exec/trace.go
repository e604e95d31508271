package exec

import "strconv"

// traceFrom is the level of verbosity from which Config.Trace is called.
const traceFrom = 2

// traceMost bounds the bytes of a command or reply that are traced.
const traceMost = 1 << 10

// Traced reports whether commands and replies are traced.
func (e *Engine) Traced() bool {
	return e.Config.Trace != nil && e.verbosity.Load() >= traceFrom
}

// Trace reports text that was received ('<') or is sent ('>') to Config.Trace.
func (b *Batch) Trace(direction byte, text []byte) {
	line := append(make([]byte, 0, 64+min(len(text), traceMost)), direction)
	line = append(strconv.AppendInt(line, int64(b.Conn.Net.ID()), 10), ' ')
	quoted := strconv.AppendQuoteToASCII(nil, string(text[:min(len(text), traceMost)]))
	line = append(line, quoted[1:len(quoted)-1]...)
	if len(text) > traceMost {
		line = append(line, "..."...)
	}
	b.Config.Trace(string(line))
}
