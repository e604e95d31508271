package pgm

import (
	"math/bits"
	"net/netip"
	"time"
)

// SourceConfig is the configuration of a source. All fields are required.
type SourceConfig struct {
	TSI      TSI
	DestPort uint16
	Source   netip.Addr // where receivers send their NAKs
	Group    netip.Addr
	// Rate bounds the bytes a second that are sent: original and repair data
	// with their headers.
	Rate int64
	// Window is the number of packets that are kept for repair.
	Window int
	// First is the sequence number of the first packet.
	First uint32
	// Heartbeats are the pauses between source path messages after the start
	// and after data; Ambient is the pause when there is no data at all.
	Heartbeats []time.Duration
	Ambient    time.Duration
}

// DefaultHeartbeats are the usual pauses: short at first, because receivers
// learn of a lost last packet by them, then longer.
var DefaultHeartbeats = []time.Duration{
	4 * time.Millisecond, 4 * time.Millisecond, 8 * time.Millisecond, 16 * time.Millisecond,
	32 * time.Millisecond, 64 * time.Millisecond, 128 * time.Millisecond, 256 * time.Millisecond,
	512 * time.Millisecond, 1024 * time.Millisecond, 2048 * time.Millisecond, 4096 * time.Millisecond, 8192 * time.Millisecond,
}

// spmPause bounds the pause between source path messages while data flows.
// OpenPGM's receiver sends no NAK before it has received one.
const spmPause = 50 * time.Millisecond

// DefaultAmbient is the pause between source path messages of a quiet source.
const DefaultAmbient = 30 * time.Second

// SourceStats has the counters of a source.
type SourceStats struct {
	Data, Repairs, SPMs, NCFs uint64 // packets sent
	NAKs                      uint64 // negative acknowledgements received
	Unrepairable              uint64 // requested sequence numbers that had left the window
	Refused                   uint64 // packets that are malformed or for another source
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

	repairs []uint32 // requested sequence numbers, oldest first
	ncf     []uint32

	spmSqn   uint32
	spmAt    time.Time
	spmLast  time.Time
	beat     int
	spmAsked bool
	planned  time.Time // what Output returned

	budget int64 // bytes that may be sent now; refilled by the rate
	filled time.Time
	waits  bool  // data waits for budget
	share  int64 // bytes of repairs that may be sent before it

	out    []byte
	parsed Packet
}

type slot struct {
	data     []byte
	asked    bool
	inUse    bool
	repaired time.Time
}

// repairPause is the time for which a repaired packet is not repaired again.
// NAKs of other receivers may have crossed the repair, and a flood of forged
// NAKs has no effect.
const repairPause = 25 * time.Millisecond

// NewSource returns a source.
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

// powerOfTwo returns the least power of two that is not below n. Indexes of
// such rings stay valid when sequence numbers wrap.
func powerOfTwo(n int) int { return 1 << bits.Len(uint(n-1)) }

func (s *Source) slot(sqn uint32) *slot { return &s.window[int(sqn)&(len(s.window)-1)] }

// Stats returns the counters.
func (s *Source) Stats() SourceStats { return s.stats }

// burst returns the bytes that may be sent at once after a pause: 5 ms of the
// rate, because a receiver's socket buffer may hold no more, but at least a few
// datagrams.
func burst(rate int64) int64 { return max(rate/200, 16<<10) }

// quantum is the least wait for the rate, so that each wake-up sends more than
// a few bytes.
const quantum = 500 * time.Microsecond

func (s *Source) refill(now time.Time) {
	if d := now.Sub(s.filled); d > 0 {
		s.filled = now
		// One second fills any budget. The bound on d prevents an overflow of
		// the product.
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

// Sooner reports whether Output must be called before the time that it returned
// last.
func (s *Source) Sooner() bool { return s.spmAt.Before(s.planned) }

// Send returns an original data packet of unit and keeps it for repair, in
// place of the oldest if the window is full. The packet is valid until the next
// call. The caller must call Wait first.
func (s *Source) Send(unit []byte, now time.Time) []byte {
	s.lead++
	sl := s.slot(s.lead)
	spare := sl.data
	if s.lead-s.trail >= s.size {
		// Reuse the memory of the packet that leaves the window.
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

// Input handles a packet of a receiver. Packets for another source are counted
// and ignored. At most one repair of each packet of the window is queued, so a
// flood of NAKs cannot use memory.
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

// Output calls emit with each packet to send now apart from original data:
// confirmations, repairs as far as the rate allows, source path messages.
// Repairs go first, but while data waits they use at most half of the rate. It
// returns when to call again if nothing happens before.
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

// spm sends the edges of the window (section 5.1.1).
func (s *Source) spm() []byte {
	s.out = Append(s.out[:0], &Packet{
		Type: SPM, TSI: s.cfg.TSI, DestPort: s.cfg.DestPort,
		Sqn: s.spmSqn, Trail: s.trail, Lead: s.lead, Source: s.cfg.Source,
	})
	s.spmSqn++
	s.stats.SPMs++
	return s.out
}
