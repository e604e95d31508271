package zmq

import (
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

const maxInt = math.MaxInt32

// inRange reads a decimal number.
func inRange(v string, low, high int64) (int64, error) {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%q, expected a number from %d to %d", v, low, high)
	}
	return n, nil
}

func number(low, high int64, field func(*options) *int) option {
	return option{
		func(o *options, v string) error {
			n, err := inRange(v, low, high)
			if err == nil {
				*field(o) = int(n)
			}
			return err
		},
		func(o *options) string { return strconv.Itoa(*field(o)) },
	}
}

// numbers is a list; each call of set appends one.
func numbers(high int64, field func(*options) *[]int) option {
	return option{
		func(o *options, v string) error {
			n, err := inRange(v, 0, min(high, math.MaxInt))
			if err == nil {
				*field(o) = append(slices.Clone(*field(o)), int(n))
			}
			return err
		},
		func(o *options) string {
			return strings.Trim(strings.ReplaceAll(fmt.Sprint(*field(o)), " ", ","), "[]")
		},
	}
}

func flag(field func(*options) *bool) option {
	return option{
		func(o *options, v string) (err error) {
			*field(o), err = parseFlag(v)
			return err
		},
		func(o *options) string {
			if *field(o) {
				return "1"
			}
			return "0"
		},
	}
}

func parseFlag(v string) (bool, error) {
	switch v {
	case "0", "false":
		return false, nil
	case "1", "true":
		return true, nil
	}
	return false, fmt.Errorf("%q, expected 0 or 1", v)
}

// not is a flag with the opposite meaning.
func not(f option) option {
	opposite := func(v string) string {
		switch v {
		case "0", "false":
			return "1"
		case "1", "true":
			return "0"
		}
		return v
	}
	return option{
		func(o *options, v string) error { return f.set(o, opposite(v)) },
		func(o *options) string { return opposite(f.get(o)) },
	}
}

// setVerbose ends xpub_verboser, as libzmq does.
func setVerbose(o *options, v string) (err error) {
	if o.XPubVerbose, err = parseFlag(v); err == nil {
		o.XPubVerboser = false
	}
	return err
}

func millis(low int64, field func(*options) *time.Duration) option {
	return duration(time.Millisecond, low, field)
}

func seconds(field func(*options) *time.Duration) option { return duration(time.Second, -1, field) }

func duration(unit time.Duration, low int64, field func(*options) *time.Duration) option {
	return option{
		func(o *options, v string) error {
			n, err := inRange(v, low, maxInt)
			switch {
			case err != nil:
				return err
			case n < 0:
				*field(o) = -1
			default:
				*field(o) = time.Duration(n) * unit
			}
			return nil
		},
		func(o *options) string {
			if *field(o) < 0 {
				return "-1"
			}
			return strconv.FormatInt(int64(*field(o)/unit), 10)
		},
	}
}

func setRecovery(o *options, v string) error {
	n, err := inRange(v, 0, maxInt)
	if err == nil {
		o.Recovery = max(time.Duration(n)*time.Millisecond, time.Millisecond)
	}
	return err
}

// maxOctets bounds the options that are text or octets.
const maxOctets = 1 << 16

func octets(field func(*options) *[]byte) option {
	return option{
		func(o *options, v string) error {
			if len(v) > maxOctets {
				return fmt.Errorf("%d octets, expected at most %d", len(v), maxOctets)
			}
			*field(o) = []byte(v)
			return nil
		},
		func(o *options) string { return string(*field(o)) },
	}
}

// routingID reads the name of a peer, or of ourselves.
func routingID(field func(*options) *[]byte) option {
	return option{
		func(o *options, v string) error {
			if err := checkIdentity([]byte(v)); err != nil {
				return err
			}
			*field(o) = []byte(v)
			return nil
		},
		func(o *options) string { return string(*field(o)) },
	}
}

// bounded reads a text whose length is sent as one octet.
func bounded(low int, field func(*options) *string) option {
	return option{
		func(o *options, v string) error {
			if len(v) < low || len(v) > 255 {
				return fmt.Errorf("%d octets, expected %d to 255", len(v), low)
			}
			*field(o) = v
			return nil
		},
		func(o *options) string { return *field(o) },
	}
}

// secret is an option that cannot be read.
func secret(opt option) option { return option{set: opt.set} }

func zero(*options) string { return "0" }

func ignoreFlag(_ *options, v string) error {
	_, err := parseFlag(v)
	return err
}

func ignoreNumber(low int64) func(*options, string) error {
	return func(_ *options, v string) error {
		_, err := inRange(v, low, maxInt)
		return err
	}
}

// setAffinity reads libzmq's mask of I/O threads, of which there are none.
func setAffinity(_ *options, v string) error {
	if _, err := strconv.ParseUint(v, 10, 64); err != nil {
		return fmt.Errorf("%q, expected a number from 0 to %d", v, uint64(math.MaxUint64))
	}
	return nil
}

// maxDevice bounds the name of a network interface: IFNAMSIZ without its NUL.
const maxDevice = 15

func setDevice(o *options, v string) error {
	if len(v) > maxDevice {
		return fmt.Errorf("%q, expected an interface name of at most %d octets", v, maxDevice)
	}
	o.BindToDevice = v
	return nil
}

func setSocksProxy(o *options, v string) error {
	if v != "" {
		host, port, err := net.SplitHostPort(v)
		n, bad := strconv.ParseUint(port, 10, 16)
		if err != nil || bad != nil || host == "" || n == 0 {
			return fmt.Errorf("%q, expected host:port", v)
		}
	}
	o.SocksProxy = v
	return nil
}

// credential is one of those of a PLAIN client.
func credential(field func(*security) *string) option {
	text := bounded(1, func(o *options) *string { return field(&o.Security) })
	return option{
		func(o *options, v string) error {
			err := text.set(o, v)
			if err == nil {
				o.Security.Mechanism, o.Security.Server = mechanismPlain, false
			}
			return err
		},
		text.get,
	}
}

func curveKey(put func(*security, PublicKey), field func(*security) PublicKey) option {
	return option{
		func(o *options, v string) error {
			k, err := ParsePublicKey(v)
			if err == nil {
				put(&o.Security, k)
				o.Security.Mechanism = mechanismCurve
			}
			return err
		},
		func(o *options) string {
			if k := field(&o.Security); k != (PublicKey{}) {
				return k.String()
			}
			return ""
		},
	}
}

func setSecretKey(o *options, v string) error {
	k, err := ParseSecretKey(v)
	if err == nil {
		o.Security.SecretKey, o.Security.Mechanism = k, mechanismCurve
	}
	return err
}

// serverOf is the flag that makes the socket the server of a mechanism.
func serverOf(mechanism string) option {
	return option{
		func(o *options, v string) error {
			on, err := parseFlag(v)
			switch {
			case err != nil:
				return err
			case on:
				o.Security.Mechanism, o.Security.Server = mechanism, true
			default:
				o.Security.Mechanism, o.Security.Server = mechanismNull, false
			}
			return nil
		},
		func(o *options) string {
			if o.Security.Mechanism == mechanism && o.Security.Server {
				return "1"
			}
			return "0"
		},
	}
}

// setMaxMsgSize bounds frames, as libzmq does. It raises or lowers the limit
// of a whole message only where that would contradict it.
func setMaxMsgSize(o *options, v string) error {
	n, err := inRange(v, -1, 1<<62)
	if err != nil {
		return err
	}
	o.MaxFrame = n
	if n < 0 || o.MaxMessage >= 0 && o.MaxFrame > o.MaxMessage {
		o.MaxMessage = o.MaxFrame
	}
	return nil
}

func setMaxMessage(o *options, v string) (err error) {
	o.MaxMessage, err = inRange(v, -1, 1<<62)
	return err
}

func setAcceptFilter(o *options, v string) error {
	if v == "" {
		o.AcceptFilters = nil
		return nil
	}
	if _, err := parseFilters([]string{v}); err != nil {
		return err
	}
	o.AcceptFilters = append(slices.Clone(o.AcceptFilters), v)
	return nil
}

func setHeartbeatTTL(o *options, v string) error {
	n, err := inRange(v, 0, 6553599)
	if err == nil {
		o.HeartbeatTTL = time.Duration(n) * time.Millisecond
	}
	return err
}

func setMetadata(o *options, v string) error {
	name, value, ok := strings.Cut(v, ":")
	if !ok || !strings.HasPrefix(name, "X-") || len(name) > 255 {
		return fmt.Errorf("%q, expected X-name:value", v)
	}
	m := maps.Clone(o.Metadata)
	if m == nil {
		m = make(map[string]string)
	}
	m[name] = value
	o.Metadata = m
	return nil
}

func getMetadata(o *options) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(o.Metadata)) {
		lines = append(lines, name+":"+o.Metadata[name])
	}
	return strings.Join(lines, "\n")
}

func setOrigins(o *options, v string) error {
	o.WebSocketOrigins = nil
	if v != "" {
		o.WebSocketOrigins = strings.Split(v, ",")
	}
	return nil
}

// setSubscribe collects the topics of a socket that is being made.
func setSubscribe(o *options, v string) error {
	o.subscribe = append(slices.Clone(o.subscribe), v)
	return nil
}

func setUnsubscribe(o *options, v string) error {
	if i := slices.Index(o.subscribe, v); i >= 0 {
		o.subscribe = slices.Delete(slices.Clone(o.subscribe), i, i+1)
	}
	return nil
}
