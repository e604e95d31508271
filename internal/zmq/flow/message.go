package flow

// Message is what Append encodes: Prefix (whole frames, already encoded),
// then the one frame of One, or those of Parts.
type Message struct {
	Prefix []byte
	One    []byte
	Parts  [][]byte
	Owned  bool // large payloads may be kept by reference
}

// Short reports whether the message is one frame whose size takes one octet.
func (m *Message) Short() bool { return m.Parts == nil && len(m.One) <= maxShort }

// small is about how many bytes of a batch the message takes.
func (m *Message) small() int {
	n := len(m.Prefix)
	if m.Parts == nil {
		return n + smallFrame(m.One)
	}
	for _, p := range m.Parts {
		n += smallFrame(p)
	}
	return n
}

func smallFrame(p []byte) int {
	if len(p) >= LargeFrame {
		return 9
	}
	return 9 + len(p)
}

// MaxLogged bounds the encoded size of what may be appended to a log.
const MaxLogged = encSize / 4

// Loggable reports whether the message can be appended to a log, and how many
// bytes it takes at most.
func (m *Message) Loggable() (n int, ok bool) {
	if m.Parts == nil {
		if len(m.One) >= LargeFrame {
			return 0, false
		}
	} else {
		for _, p := range m.Parts {
			if len(p) >= LargeFrame {
				return 0, false
			}
		}
	}
	n = m.small()
	return n, n <= MaxLogged
}
