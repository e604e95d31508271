package text

import (
	"fmt"

	"lintel.dev/internal/memcached/exec"
)

// stats is stats [SUB...]. As in memcached, most names may be abbreviated.
func stats(b *exec.Batch, words []string) {
	b.Publish() // earlier commands of this batch count
	if len(words) == 0 {
		appendStats(b, b.GeneralStats())
		return
	}
	sub := words[0]
	switch {
	case short(sub, "reset"):
		b.ResetStats()
		b.Reply("RESET")
	case short(sub, "detail"):
		statsDetail(b, words)
	case short(sub, "settings"):
		appendStats(b, b.SettingsStats())
	case short(sub, "cachedump"):
		cacheDump(b, words)
	case short(sub, "conns"):
		appendStats(b, b.ConnStats(b.Conn))
	case sub == "sizes":
		started := b.ScanSizes(func(out []byte, name, value string) []byte {
			return fmt.Appendf(out, "STAT %s %s\r\n", name, value)
		}, appendEnd)
		if !started {
			b.Reply(replyDatagram)
		}
	default:
		list, ok := b.NamedStats(sub)
		if !ok {
			b.Reply(replyError)
			return
		}
		appendStats(b, list)
	}
}

// appendStats answers with list.
func appendStats(b *exec.Batch, list []exec.Stat) {
	out := b.W.B
	for _, s := range list {
		out = append(append(append(append(out, "STAT "...), s.Name...), ' '), s.Value...)
		out = append(out, '\r', '\n')
	}
	b.W.B = append(out, "END\r\n"...)
}

// statsDetail is stats detail on|off|dump.
func statsDetail(b *exec.Batch, words []string) {
	if b.DisableDump {
		b.Reply("CLIENT_ERROR stats detail not allowed")
		return
	}
	switch {
	case len(words) > 1 && short(words[1], "on"):
		b.SetDetail(true)
		b.Reply(replyOK)
	case len(words) > 1 && short(words[1], "off"):
		b.SetDetail(false)
		b.Reply(replyOK)
	case len(words) > 1 && short(words[1], "dump"):
		startJob(b, &exec.Job{Run: func(j *exec.Job) { j.EachPrefix(j.Emit) }})
	default:
		b.Reply("CLIENT_ERROR usage: stats detail on|off|dump")
	}
}
