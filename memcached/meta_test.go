package memcached

import (
	"strings"
	"testing"
)

func TestMetaGet(t *testing.T) {
	s := startServer(t, Options{})
	s.engine.Clock.Pause()
	c := dial(t, s)
	c.want("ms a 2 F7 T100 E50\r\nhi\r\n", "HD\r\n")
	c.want("mg a\r\n", "HD\r\n")
	c.want("mg a v\r\n", "VA 2\r\nhi\r\n")
	c.want("mg a s v f t c k O77\r\n", "VA 2 s2 f7 t100 c50 ka O77\r\nhi\r\n")
	c.want("mg a O77 k c t f s\r\n", "HD O77 ka c50 t100 f7 s2\r\n")
	c.want("mg YQ== b k v\r\n", "VA 2 kYQ== b\r\nhi\r\n")
	c.want("mg YQ== b v\r\n", "VA 2\r\nhi\r\n")
	c.want("mg nope k O1 v q\r\nmn\r\n", "MN\r\n")
	c.want("mg a v q\r\n", "VA 2\r\nhi\r\n")
	c.want("mg a P/x L9 N0 u x I\r\n", "HD\r\n") // without meaning here
	// Whether and when the item was read. The flag u does not change that.
	c.want("ms b 1\r\nx\r\nmg b h l u\r\nmg b h l\r\nmg b h\r\n", "HD\r\nHD h0 l0\r\nHD h0 l0\r\nHD h1\r\n")
	s.engine.Clock.Add(5)
	c.want("mg b h l\r\nmg b l\r\n", "HD h1 l5\r\nHD l0\r\n")
	// With C the value is sent only if its CAS value differs.
	c.want("mg a v c C50\r\nmg a v c C49\r\n", "HD c50\r\nVA 2 c50\r\nhi\r\n")
	c.want("me a\r\nme YQ== b\r\nme nope\r\n", "ME a exp=95 la=0 cas=50 fetch=yes cls=1 size=66\r\nME YQ== exp=95 la=0 cas=50 fetch=yes cls=1 size=66\r\nEN\r\n")
}

func TestMetaErrors(t *testing.T) {
	dup, invalid, token := "CLIENT_ERROR duplicate flag\r\n", "CLIENT_ERROR invalid flag\r\n", "CLIENT_ERROR bad token in command line format\r\n"
	folded := "CLIENT_ERROR invalid or duplicate flag\r\n"
	key := "CLIENT_ERROR error decoding key\r\n"
	talk(t, Options{}, []exchange{
		{"mg a k k\r\n", dup},
		{"mg a [\r\nmg a `\r\nmg a 7\r\n", invalid + invalid + invalid},
		// A byte that cannot begin a flag makes the line invalid. No data is skipped.
		{"mg a ~\r\nmg a \x80\r\nmg a !\r\nmd a v {\r\nma a -\r\nme a !\r\n", strings.Repeat(badFormat, 6)},
		{"ms a 1 c -\r\nmn\r\nms a 1 z\r\nx\r\nmn\r\n", badFormat + "MN\r\n" + invalid + "MN\r\n"},
		{"mg a T+5\r\nmg a N5\x0b\r\nmg a C+1\r\nmg a E1\t\r\nmg a R0000000000001\r\n", strings.Repeat(token, 5)},
		{"mg a T\r\nmg a Tx\r\nmg a R\r\nmg a N\r\nmg a C\r\nmg a Ex\r\n", strings.Repeat(token, 6)},
		{"mg a J\r\n", "CLIENT_ERROR invalid numeric initial value\r\n"},
		{"mg a D-1\r\n", "CLIENT_ERROR invalid numeric delta value\r\n"},
		{"mg a T z\r\n", invalid},
		{"mg a Tx b\r\nmg a b Tx\r\nmg a b O" + strings.Repeat("o", 32) + "\r\nms a 1 Dx b\r\nx\r\n", key + token + key + key}, // the last one wins
		{"me a x v\r\nme a b\r\nme a b c\r\nme !!! b c\r\nme a c b\r\n", "EN\r\nEN\r\n" + badFormat + badFormat + "EN\r\n"},
		// As memcached 1.6.18 reads them, and 1.6.45 according to its source.
		{"ms Zm9v! 1 b k\r\nx\r\nmg foo v\r\nmg Z-m9v b k v\r\nmd Zm9v? b k\r\nmg Zm9v_ b k\r\n", "HD kZm9v b\r\nVA 1\r\nx\r\nVA 1 kZm9v b\r\nx\r\nHD kZm9v b\r\nEN kZm9v b\r\n"},
		{"mg !!! b\r\nmg a b\r\nms ! 1 b\r\nx\r\n", key + key + key},
		{"md a k k\r\nma a k k\r\nma a b\r\nma a Nx\r\n", dup + strings.Repeat(folded, 3)},
		{"md a z\r\nmd a Tx\r\nmd a b\r\n", invalid + token + key},
		{"ms a 1 k k\r\nx\r\n", dup},
		{"ms a 1 O" + strings.Repeat("o", 32) + "\r\nx\r\n", "CLIENT_ERROR opaque token too long\r\n"},
		{"ma a O" + strings.Repeat("o", 32) + "\r\nmg a Tx O" + strings.Repeat("o", 32) + "\r\n", "CLIENT_ERROR opaque token too long\r\n" + token},
		{"ms a 1 MQ\r\nx\r\nms a 1 M\r\nx\r\n", strings.Repeat("CLIENT_ERROR invalid mode for ms M token\r\n", 2)},
		{"ma a Mx\r\n", "CLIENT_ERROR invalid mode for ma M token\r\n"},
		{"ms a 1 F4294967296\r\nx\r\nms a 1 F+1\r\nx\r\n", badFormat + badFormat},
		{"ms a x\r\nms a -1\r\nms a\r\nms\r\n", badFormat + badFormat + badFormat + badFormat},
		{"mg a" + strings.Repeat(" k", 19) + "\r\n", "CLIENT_ERROR options flags are too long\r\n"},
		{"mg a q v v\r\n", dup}, // errors are never quiet
		{"mg a\r\n", "EN\r\n"},
	})
}

// TestLease takes an item through vivify, recache and staleness.
func TestLease(t *testing.T) {
	s := startServer(t, Options{})
	s.engine.Clock.Pause()
	c := dial(t, s)
	// 1. Vivify: the first client that misses wins, others do not.
	c.want("mg a v N30\r\n", "VA 0 W\r\n\r\n")
	c.want("mg a v N30\r\n", "VA 0 Z\r\n\r\n")
	c.want("mg a v t\r\n", "VA 0 t30 Z\r\n\r\n")
	c.want("ms a 3 T100\r\nval\r\nmg a v N30\r\n", "HD\r\nVA 3\r\nval\r\n")
	c.want("mg e N30 E99 c\r\nmg e c\r\n", "HD c99 W\r\nHD c99 Z\r\n")
	c.want("mg f N30 h\r\nmg f h\r\n", "HD h0 W\r\nHD h1 Z\r\n")
	// The empty item expires after N seconds.
	c.want("mg b v N30\r\n", "VA 0 W\r\n\r\n")
	s.engine.Clock.Add(30)
	c.want("mg b v N30\r\n", "VA 0 W\r\n\r\n")
	// 2. Recache: near the expiry time one client wins, all get the value.
	c.want("mg a v t R30\r\n", "VA 3 t70\r\nval\r\n")
	c.want("mg a v R71\r\nmg a v R71\r\nmg a v\r\n", "VA 3 W\r\nval\r\nVA 3 Z\r\nval\r\nVA 3 Z\r\nval\r\n")
	c.want("ms a 1 T0\r\nx\r\nmg a R30 t\r\n", "HD\r\nHD t-1\r\n") // no end is never near
	// 3. Stale: marked, served, won once, cleared by a set.
	c.want("ms a 3 E7 T100\r\nold\r\nmd a I T30\r\n", "HD\r\nHD\r\n")
	c.want("mg a v t\r\nmg a v t\r\n", "VA 3 t30 X W\r\nold\r\nVA 3 t30 Z X\r\nold\r\n")
	c.want("md a I\r\nmg a v\r\n", "HD\r\nVA 3 X W\r\nold\r\n") // again: the token is free again
	c.want("ms a 3 T90\r\nnew\r\nmg a v t\r\n", "HD\r\nVA 3 t90\r\nnew\r\n")
	// 4. A late winner: its CAS value is the old one.
	c.want("ms a 1 E10 T100\r\n1\r\nmd a I T40 E20\r\n", "HD\r\nHD\r\n")
	c.want("mg a c\r\n", "HD c20 X W\r\n")
	c.want("ms a 1 C10\r\n2\r\nms a 1 C21 I\r\n2\r\n", "EX\r\nEX\r\n")
	c.want("ms a 1 C10 I E15 T500\r\n2\r\n", "HD\r\n")
	c.want("mg a v t c\r\n", "VA 1 t40 c15 Z X\r\n2\r\n") // old time to live, token still out
	c.want("ms a 1 C15 T60\r\n3\r\nmg a v t\r\n", "HD\r\nVA 1 t60\r\n3\r\n")
}

func TestMetaSet(t *testing.T) {
	talk(t, Options{}, []exchange{
		{"ms a 2 k O9 s c E33 F3 T10\r\nhi\r\n", "HD ka O9 s2 c33\r\n"},
		{"ms YQ== 2 b k\r\nho\r\nmg a v\r\n", "HD kYQ== b\r\nVA 2\r\nho\r\n"},
		{"ms a 1 ME c\r\nx\r\n", "NS c0\r\n"},
		{"ms b 1 MR\r\nx\r\nms b 1 MA\r\nx\r\nms b 1 MP\r\nx\r\n", "NS\r\nNS\r\nNS\r\n"},
		{"ms a 1 MA s\r\n!\r\nms a 1 MP s\r\n?\r\nmg a v\r\n", "HD s3\r\nHD s4\r\nVA 4\r\n?ho!\r\n"},
		{"ms a 1 MR\r\nr\r\nms a 1 MS q\r\ns\r\nmg a v\r\n", "HD\r\nVA 1\r\ns\r\n"},
		{"ms b 1 MP N40 T9\r\nx\r\nmg b v t\r\n", "HD\r\nVA 1 t40\r\nx\r\n"},
		{"ms a 1 E5\r\n1\r\nms a 1 C4 q\r\n2\r\nms a 1 C5 E6 c\r\n2\r\n", "HD\r\nEX\r\nHD c6\r\n"},
		{"ms a 1 MA C5\r\n2\r\nms a 1 MR C5\r\n2\r\n", "EX\r\nEX\r\n"},
		{"ms missing 1 C5\r\n2\r\n", "NF\r\n"},
		{"ms a 0\r\n\r\nmg a v\r\n", "HD\r\nVA 0\r\n\r\n"},
		{"ms a 2000000 MA\r\n" + strings.Repeat("x", 2000000) + "\r\nmg a\r\n", "SERVER_ERROR object too large for cache\r\nEN\r\n"},
	})
}

// TestCompareWithZero: a CAS value of 0 stands for none, in a command and, with -C, in
// every item. Nothing compares with it: a set that must compare is refused, an append
// is not checked.
func TestCompareWithZero(t *testing.T) {
	for _, c := range []struct {
		name   string
		opts   Options
		values []string
	}{{"CAS values", Options{}, []string{"0"}}, {"-C", Options{DisableCAS: true}, []string{"0", "1", "99999999999"}}} {
		t.Run(c.name, func(t *testing.T) {
			for _, cas := range c.values {
				talk(t, c.opts, []exchange{
					{"ms a 1 MS\r\n5\r\nms a 1 C" + cas + "\r\n6\r\nms a 1 MR C" + cas + "\r\n6\r\n", "HD\r\nEX\r\nEX\r\n"},
					{"ms a 1 I C" + cas + "\r\n6\r\nmg a v\r\n", "EX\r\nVA 1\r\n5\r\n"},
					{"cas a 0 0 1 " + cas + "\r\n6\r\ncas b 0 0 1 " + cas + "\r\n6\r\n", "EXISTS\r\nNOT_FOUND\r\n"},
					{"ms a 1 MA C" + cas + "\r\n6\r\nms a 1 MP C" + cas + " I\r\n4\r\nmg a v\r\n", "HD\r\nHD\r\nVA 3\r\n456\r\n"},
				})
			}
		})
	}
}

func TestMetaDelete(t *testing.T) {
	talk(t, Options{}, []exchange{
		{"ms a 1 E5\r\n1\r\nmd a C4 O1 k\r\nmd a C5 q\r\nmd a q\r\n", "HD\r\nEX O1 ka\r\nNF\r\n"},
		// x leaves an item without value or flags.
		{"ms a 3 F9 T100 E5\r\nabc\r\nmd a x\r\nmg a v f t c\r\n", "HD\r\nHD\r\nVA 0 f0 t-1 c5\r\n\r\n"},
		{"ms a 3 F9\r\nabc\r\nmd a x T20 E8\r\nmg a v f t c\r\n", "HD\r\nHD\r\nVA 0 f0 t20 c8\r\n\r\n"},
		{"ms a 3\r\nabc\r\nmd a x I\r\nmg a v\r\n", "HD\r\nHD\r\nVA 0 X W\r\n\r\n"},
		// I without T keeps the expiry time.
		{"ms a 1 T70\r\n1\r\nmd a I\r\nmg a t\r\n", "HD\r\nHD\r\nHD t70 X W\r\n"},
	})
}

func TestMetaArithmetic(t *testing.T) {
	s := startServer(t, Options{})
	s.engine.Clock.Pause()
	c := dial(t, s)
	c.want("ma n\r\n", "NF\r\n")
	c.want("ma n N0 J5 v\r\nma n v\r\nma n D10 v\r\nma n MD D3 v\r\nma n M- v\r\nma n M+ v\r\nma n MI v\r\n",
		"VA 1\r\n5\r\nVA 1\r\n6\r\nVA 2\r\n16\r\nVA 2\r\n13\r\nVA 2\r\n12\r\nVA 2\r\n13\r\nVA 2\r\n14\r\n")
	c.want("ma n N30 T90 t k O3\r\n", "HD t90 kn O3\r\n")
	c.want("ma n t T50\r\n", "HD t90\r\n")
	c.want("ma n E77 c\r\nma n C76 v\r\nma n C77 q v\r\nma n C77 q\r\n", "HD c77\r\nEX\r\nEX\r\n")
	c.want("ma bg== b k v O1\r\n", "VA 2 kbg== b O1\r\n19\r\n")
	c.want("ms n 20\r\n18446744073709551615\r\nma n v\r\nma n MD v\r\n", "HD\r\nVA 1\r\n0\r\nVA 1\r\n0\r\n")
	c.want("ms n 1\r\nx\r\nma n q\r\n", "HD\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n")
	c.want("ma v N60 t\r\nmg v t\r\n", "HD t60\r\nHD t60\r\n")
	c.want("ma new N60 J4 q v\r\nma new N60 q\r\nma new v\r\n", "VA 1\r\n6\r\n") // q hides what it creates, too
	// Neither counting nor an add that fails is a fetch.
	c.want("ms h 2\r\n10\r\nma h\r\nincr h 1\r\nadd h 0 0 1\r\nx\r\nmg h h v\r\nma h\r\nmg h h\r\n", "HD\r\nHD\r\n12\r\nNOT_STORED\r\nVA 2 h0\r\n12\r\nHD\r\nHD h1\r\n")
	s.engine.Clock.Add(60)
	c.want("incr h 1\r\nadd h 0 0 1\r\nx\r\nmg h l u\r\n", "14\r\nNOT_STORED\r\nHD l60\r\n")
	s.engine.Clock.Add(1)
	c.want("incr h 1\r\nmg h l u\r\n", "15\r\nHD l0\r\n")
	c.want("ms none 0\r\n\r\nma none C1\r\n", "HD\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n")
}

// TestMetaAnyByteKey stores every byte value in a base64 key.
func TestMetaAnyByteKey(t *testing.T) {
	s := startServer(t, Options{})
	c := dial(t, s)
	c.want("ms AAECAwoNICD/ 1 b\r\nx\r\nmg AAECAwoNICD/ b k v\r\n", "HD\r\nVA 1 kAAECAwoNICD/ b\r\nx\r\n")
	c.want("lru_crawler mgdump all\r\n", "OK\r\nmg AAECAwoNICD/ b\r\nEN\r\n")
	if got := c.send("lru_crawler metadump all\r\n"); !strings.Contains(got, "key=%00%01%02%03%0A%0D%20%20%FF exp=-1 ") {
		t.Errorf("metadump: %q", got)
	}
}
