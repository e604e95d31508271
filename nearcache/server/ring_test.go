package server

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"lintel.dev/internal/nearcache/wire"
	"lintel.dev/internal/sequence"
	"lintel.dev/memcached"
)

// decode returns the records of b as a subscriber sees them.
func decode(t *testing.T, b batch) []wire.Record {
	t.Helper()
	h := wire.Header{Epoch: sequence.Epoch{1}, First: b.first, Count: b.count}
	got, records, err := wire.Decode([][]byte{wire.AppendTopic(nil, 0), wire.AppendHeader(nil, &h), b.records}, nil)
	if err != nil || got != h {
		t.Fatalf("%+v, %v", got, err)
	}
	return records
}

func TestRingOverflows(t *testing.T) {
	var r ring
	for n := range uint64(ringRecords + 3) {
		r.add(n+1, memcached.Changed, []byte("key"))
	}
	var b batch
	if !r.take(&b) || b.first != ringRecords+1 || b.count != 3 || r.lostSoFar() != ringRecords+1 {
		t.Fatalf("first %d, count %d, lost %d", b.first, b.count, r.lostSoFar())
	}
	want := []wire.Op{wire.Lost, wire.Changed, wire.Changed}
	for i, rec := range decode(t, b) {
		if rec.Op != want[i] {
			t.Errorf("record %d: operation %d, expected %d", i, rec.Op, want[i])
		}
	}
	if r.take(&b) {
		t.Error("taken twice")
	}
}

// TestRingOctets checks the bound of a ring whose records have the longest prefixes.
func TestRingOctets(t *testing.T) {
	var r ring
	prefix := bytes.Repeat([]byte("p"), wire.MaxPrefix)
	for n := range uint64(10_000) {
		r.add(n+1, memcached.PrefixFlushed, prefix)
		if len(r.records) > ringOctets || cap(r.records) > 2*ringOctets {
			t.Fatalf("%d octets in room for %d, expected at most %d", len(r.records), cap(r.records), ringOctets)
		}
	}
	var b batch
	r.take(&b)
	if last := b.first + uint64(b.count) - 1; last != 10_000 || r.lostSoFar()+uint64(b.count) != 10_001 { // with the Lost
		t.Errorf("the last number is %d, %d records, %d lost", last, b.count, r.lostSoFar())
	}
}

// TestRingModel adds random changes, with numbers that jump,
// and takes at random. What was taken must be the changes in order, and where numbers
// are missing a later number must show it.
func TestRingModel(t *testing.T) {
	for seed := range uint64(8) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		var r ring
		var b batch
		changed := make(map[uint64]string)
		var number, taken uint64
		for range 400 {
			for range rnd.IntN(40) * rnd.IntN(30) {
				if number++; rnd.IntN(3000) == 0 {
					number += 5
				}
				key := fmt.Sprint("k", rnd.IntN(50))
				kind := memcached.ChangeKind(1 + rnd.IntN(5))
				r.add(number, kind, []byte(key))
				changed[number] = fmt.Sprint(ops[kind], key)
			}
			if rnd.IntN(20) > 0 || !r.take(&b) {
				continue
			}
			for rest := b; rest.count > 0; {
				m := rest.next(1 + rnd.IntN(100))
				for i, rec := range decode(t, m) {
					n := m.first + uint64(i)
					if n <= taken {
						t.Fatalf("seed %d: number %d after %d", seed, n, taken)
					}
					taken = n
					key := []byte(changed[n][1:])
					want := wire.Record{Op: wire.Op(changed[n][0] - '0')}
					switch want.Op {
					case wire.FlushAll:
					case wire.FlushPrefix:
						want.Prefix = key
					default:
						want.Hash = wire.Hash(key)
					}
					if rec.Op != wire.Lost && (rec.Op != want.Op || rec.Hash != want.Hash || !bytes.Equal(rec.Prefix, want.Prefix)) {
						t.Fatalf("seed %d: number %d is %+v, expected %+v", seed, n, rec, want)
					}
				}
			}
			if taken != number {
				t.Fatalf("seed %d: took up to %d of %d", seed, taken, number)
			}
		}
	}
}
