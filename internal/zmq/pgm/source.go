package pgm

import (
	"math/bits"
	"net/netip"
	"time"
)

// SourceConfig says how a source sends. All fields are needed.
type SourceConfig struct {
	TSI      TSI
	DestPort uint16
	Source   netip.Addr // where receivers send their NAKs
	Group    netip.Addr
	// Rate bounds what leaves, original and repair data with their headers,
	// in bytes a second.
	Rate int64
	// Window is how many packets are kept for repair.
	Window int
	// First is the number of the first packet.
	First uint32
	// Heartbeats are the pauses, from the start and after data, at which the
	// leading edge is told again; Ambient is the pause when there is no data at all.
	Heartbeats []time.Duration
	Ambient    time.Duration
}

// DefaultHeartbeats are the pauses of the sources in the field: close
// together while a lost last packet would delay somebody, then rarer.
var DefaultHeartbeats = []time.Duration{
	4 * time.Millisecond, 4 * time.Millisecond, 8 * time.Millisecond, 16 * time.Millisecond,
	32 * time.Millisecond, 64 * time.Millisecond, 128 * time.Millisecond, 256 * time.Millisecond,
	512 * time.Millisecond, 1024 * time.Millisecond, 2048 * time.Millisecond, 4096 * time.Millisecond, 8192 * time.Millisecond,
}

// spmPause bounds the pause between source path messages while data flows: a
// receiver of OpenPGM can ask for nothing before it has heard one.
const spmPause = 50 * time.Millisecond

// DefaultAmbient is the pause between source path messages of a quiet source.
const DefaultAmbient = 30 * time.Second

// SourceStats counts what a source did since it began.
type SourceStats struct {
	Data, Repairs, SPMs, NCFs uint64 // packets sent
	NAKs                      uint64 // negative acknowledgements received
	Unrepairable              uint64 // sequence numbers asked for that had left the window
	Refused                   uint64 // packets from strangers
}

// Source is the sending side of one session: the transmit window, its repairs
// and source path messages. Its methods must not be called at the same time.
type Source struct {
	cfg   SourceConfig
	stats SourceStats

	window []slot // ring of the last sent data, a power of two long, indexed by sqn
	size   uint32 // how many of them
	lead   uint32
	trail  uint32

	repairs []uint32 // sequence numbers asked for, oldest first
	ncf     []uint32

	spmSqn   uint32
	spmAt    time.Time
	spmLast  time.Time
	beat     int
	spmAsked bool
	planned  time.Time // what Output returned

	budget int64 // bytes that may leave now; refilled from the rate
	filled time.Time
	waits  bool  // data waits for budget
	share  int64 // bytes of repairs that may leave before it

	out    []byte
	parsed Packet
}

type slot struct {
	data     []byte
	asked    bool
	inUse    bool
	repaired time.Time
}

// repairPause is how long a packet just repaired is not repaired again: the
// NAKs of others crossed it, and a flood of forged ones gains nothing.
const repairPause = 25 * time.Millisecond

// NewSource returns a source that has sent nothing yet.
func NewSource(cfg SourceConfig, now time.Time) *Source {
	size := max(cfg.Window, 1)
	return &Source{
		cfg:    cfg,
		window: make([]slot, powerOfTwo(size)),
		size:   uint32(size),
		lead:   cfg.First - 1,
		trail:  cfg.First,
		budget: burst(cfg.Rate),
		share:  burst(cfg.Rate),
		filled: now,
	}
}

// powerOfTwo is the least one that is not below n. Rings of that length stay
// in step when sequence numbers wrap.
func powerOfTwo(n int) int { return 1 << bits.Len(uint(n-1)) }

func (s *Source) slot(sqn uint32) *slot { return &s.window[int(sqn)&(len(s.window)-1)] }

// Stats returns the counters.
func (s *Source) Stats() SourceStats { return s.stats }

// burst is what may leave at once after a silence: five milliseconds' worth,
// for a receiver's socket may hold no more, but never less than a few
// datagrams.
func burst(rate int64) int64 { return max(rate/200, 16<<10) }

// quantum is the least wait for the rate, so that what leaves after it is
// worth waking for.
const quantum = 500 * time.Microsecond

func (s *Source) refill(now time.Time) {
	if d := now.Sub(s.filled); d > 0 {
		s.filled = now
		// A second of silence fills any budget; bounding d keeps the product
		// from overflowing.
		s.budget = min(s.budget+int64(float64(s.cfg.Rate)*min(d, time.Second).Seconds()), burst(s.cfg.Rate))
	}
}

// Wait returns how long to wait until the rate allows the next data packet.
func (s *Source) Wait(now time.Time) time.Duration {
	d := s.untilBudget(now)
	s.waits = d > 0
	return d
}

func (s *Source) untilBudget(now time.Time) time.Duration {
	s.refill(now)
	if s.budget > 0 {
		return 0
	}
	return max(time.Duration(float64(1-s.budget)/float64(max(s.cfg.Rate, 1))*float64(time.Second))+time.Microsecond, quantum)
}

// Sooner says that Output is due before the time that it returned last.
func (s *Source) Sooner() bool { return s.spmAt.Before(s.planned) }

// Send makes an original data packet of unit and keeps it for repair, in
// place of the oldest if the window is full. The packet is valid until the
// next call. The caller asks Wait first.
func (s *Source) Send(unit []byte, now time.Time) []byte {
	s.lead++
	sl := s.slot(s.lead)
	spare := sl.data
	if s.lead-s.trail >= s.size {
		// What leaves the window gives its memory to what comes.
		old := s.slot(s.trail)
		spare = old.data
		*old = slot{}
		s.trail++
	}
	*sl = slot{data: append(spare[:0], unit...), inUse: true}
	s.stats.Data++
	s.beat = 0
	s.spmAt = now.Add(s.cfg.Heartbeats[0])
	if latest := s.spmLast.Add(spmPause); latest.Before(s.spmAt) {
		s.spmAt = latest
	}
	packet := s.data(ODATA, s.lead, sl.data)
	s.waits = false
	s.share = min(s.share+int64(len(packet)), burst(s.cfg.Rate))
	return packet
}

func (s *Source) data(t Type, sqn uint32, unit []byte) []byte {
	s.out = Append(s.out[:0], &Packet{
		Type: t, TSI: s.cfg.TSI, DestPort: s.cfg.DestPort,
		Sqn: sqn, Trail: s.trail, Data: unit,
	})
	s.budget -= int64(len(s.out))
	return s.out
}

// at returns the slot of sqn while it is in the window.
func (s *Source) at(sqn uint32) *slot {
	if before(s.lead, sqn) || before(sqn, s.trail) {
		return nil
	}
	sl := s.slot(sqn)
	if !sl.inUse {
		return nil
	}
	return sl
}

// Input takes a packet that a receiver sent. What is not for this source is
// counted and costs nothing else: at most one repair of each packet of the
// window is ever queued, so that no flood of NAKs can grow memory.
func (s *Source) Input(b []byte, now time.Time) {
	p := &s.parsed
	if Parse(b, p) != nil || p.TSI != s.cfg.TSI {
		s.stats.Refused++
		return
	}
	switch p.Type {
	case NAK:
		s.stats.NAKs++
		s.ask(p.Sqn, now)
		for _, sqn := range p.More {
			s.ask(sqn, now)
		}
	case SPMR:
		s.spmAsked = true
	case NNAK:
	default:
		s.stats.Refused++
	}
}

func (s *Source) ask(sqn uint32, now time.Time) {
	sl := s.at(sqn)
	if sl == nil {
		s.stats.Unrepairable++
		return
	}
	if !sl.asked && (sl.repaired.IsZero() || now.Sub(sl.repaired) >= repairPause) {
		sl.asked = true
		s.repairs = append(s.repairs, sqn)
		s.ncf = append(s.ncf, sqn)
	}
}

// Output calls emit with each packet that should leave now besides original
// data: confirmations, repairs as far as the rate allows, source path
// messages. Repairs go first, but while data waits they take no more than half
// of the rate, however many are asked for. It returns when to call again if
// nothing happens before.
func (s *Source) Output(now time.Time, emit func(packet []byte)) time.Time {
	s.refill(now)
	for len(s.ncf) > 0 {
		n := min(len(s.ncf), 1+maxNAKList)
		s.out = Append(s.out[:0], &Packet{
			Type: NCF, TSI: s.cfg.TSI, DestPort: s.cfg.DestPort,
			Sqn: s.ncf[0], More: s.ncf[1:n], Source: s.cfg.Source, Group: s.cfg.Group,
		})
		emit(s.out)
		s.stats.NCFs++
		s.ncf = s.ncf[n:]
	}
	s.ncf = nil
	for len(s.repairs) > 0 && s.budget > 0 && (!s.waits || s.share > 0) {
		sqn := s.repairs[0]
		s.repairs = s.repairs[1:]
		sl := s.at(sqn)
		if sl == nil || !sl.asked {
			continue
		}
		sl.asked, sl.repaired = false, now
		packet := s.data(RDATA, sqn, sl.data)
		s.share = max(s.share-int64(len(packet)), -burst(s.cfg.Rate))
		emit(packet)
		s.stats.Repairs++
	}
	if len(s.repairs) == 0 {
		s.repairs = nil
	}
	if s.spmAsked || !now.Before(s.spmAt) {
		s.spmAsked = false
		emit(s.spm())
		d := s.cfg.Ambient
		if s.beat+1 < len(s.cfg.Heartbeats) {
			s.beat++
			d = s.cfg.Heartbeats[s.beat]
		}
		s.spmAt, s.spmLast = now.Add(d), now
	}
	next := s.spmAt
	if len(s.repairs) > 0 {
		if t := now.Add(max(s.untilBudget(now), quantum)); t.Before(next) {
			next = t
		}
	}
	s.planned = next
	return next
}

// spm tells the edges of the window (section 5.1.1).
func (s *Source) spm() []byte {
	s.out = Append(s.out[:0], &Packet{
		Type: SPM, TSI: s.cfg.TSI, DestPort: s.cfg.DestPort,
		Sqn: s.spmSqn, Trail: s.trail, Lead: s.lead, Source: s.cfg.Source,
	})
	s.spmSqn++
	s.stats.SPMs++
	return s.out
}
