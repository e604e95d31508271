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

// setter reads the value of an option as libzmq's users write it.
type setter func(o *Options, v string) error

// optionNames are libzmq's options by their lower-case names without ZMQ_.
var optionNames = map[string]setter{
	"affinity":                 setAffinity,
	"routing_id":               setIdentity,
	"identity":                 setIdentity,
	"rate":                     number(1, 1<<31-1, func(o *Options, n int) { o.Rate = n }),
	"recovery_ivl":             millis(0, func(o *Options, d time.Duration) { o.Recovery = max(d, time.Millisecond) }),
	"sndbuf":                   number(-1, 1<<31-1, func(o *Options, n int) { o.SendBuffer = n }),
	"rcvbuf":                   number(-1, 1<<31-1, func(o *Options, n int) { o.RecvBuffer = n }),
	"linger":                   millis(-1, func(o *Options, d time.Duration) { o.Linger = d }),
	"reconnect_ivl":            millis(-1, func(o *Options, d time.Duration) { o.Reconnect = d }),
	"reconnect_ivl_max":        millis(0, func(o *Options, d time.Duration) { o.ReconnectMax = d }),
	"reconnect_stop":           number(0, 7, func(o *Options, n int) { o.Stop = ReconnectStop(n) }),
	"backlog":                  number(0, 1<<31-1, func(o *Options, n int) { o.Backlog = n }),
	"maxmsgsize":               setMaxMsgSize,
	"sndhwm":                   number(0, 1<<31-1, func(o *Options, n int) { o.SendHWM = n }),
	"rcvhwm":                   number(0, 1<<31-1, func(o *Options, n int) { o.RecvHWM = n }),
	"multicast_hops":           number(1, 255, func(o *Options, n int) { o.MulticastHops = n }),
	"multicast_maxtpdu":        number(64, 65000, func(o *Options, n int) { o.MulticastTPDU = n }),
	"multicast_loop":           flag(func(o *Options, b bool) { o.MulticastLoop = b }),
	"sndtimeo":                 millis(-1, func(o *Options, d time.Duration) { o.SendTimeout = d }),
	"rcvtimeo":                 millis(-1, func(o *Options, d time.Duration) { o.RecvTimeout = d }),
	"ipv4only":                 flag(func(o *Options, b bool) { o.IPv6 = !b }),
	"ipv6":                     flag(func(o *Options, b bool) { o.IPv6 = b }),
	"router_mandatory":         flag(func(o *Options, b bool) { o.RouterMandatory = b }),
	"router_raw":               flag(func(o *Options, b bool) { o.RouterRaw = b }),
	"fail_unroutable":          flag(func(o *Options, b bool) { o.RouterMandatory = b }),
	"router_behavior":          flag(func(o *Options, b bool) { o.RouterMandatory = b }),
	"use_fd":                   number(-1, 1<<31-1, func(o *Options, n int) { o.UseFD = n }),
	"delay_attach_on_connect":  flag(func(o *Options, b bool) { o.Immediate = b }),
	"probe_router":             flag(func(o *Options, b bool) { o.ProbeRouter = b }),
	"router_handover":          flag(func(o *Options, b bool) { o.RouterHandover = b }),
	"router_notify":            number(0, 3, func(o *Options, n int) { o.RouterNotify = RouterNotify(n) }),
	"connect_routing_id":       setConnectRoutingID,
	"connect_rid":              setConnectRoutingID,
	"tcp_keepalive":            number(-1, 1, func(o *Options, n int) { o.KeepAlive = n }),
	"tcp_keepalive_cnt":        number(-1, 1<<31-1, func(o *Options, n int) { o.KeepCount = n }),
	"tcp_keepalive_idle":       seconds(func(o *Options, d time.Duration) { o.KeepIdle = d }),
	"tcp_keepalive_intvl":      seconds(func(o *Options, d time.Duration) { o.KeepInterval = d }),
	"tcp_maxrt":                millis(0, func(o *Options, d time.Duration) { o.MaxRT = d }),
	"tcp_accept_filter":        setAcceptFilter,
	"ipc_filter_pid":           number(0, 1<<31-1, func(o *Options, n int) { o.IPCFilterPID = append(slices.Clone(o.IPCFilterPID), n) }),
	"ipc_filter_uid":           number(0, 1<<32-1, func(o *Options, n int) { o.IPCFilterUID = append(slices.Clone(o.IPCFilterUID), n) }),
	"ipc_filter_gid":           number(0, 1<<32-1, func(o *Options, n int) { o.IPCFilterGID = append(slices.Clone(o.IPCFilterGID), n) }),
	"immediate":                flag(func(o *Options, b bool) { o.Immediate = b }),
	"xpub_verbose":             flag(func(o *Options, b bool) { o.XPubVerbose, o.XPubVerboser = b, false }),
	"xpub_verboser":            flag(func(o *Options, b bool) { o.XPubVerboser = b }),
	"xpub_nodrop":              flag(func(o *Options, b bool) { o.XPubNoDrop = b }),
	"xpub_manual":              flag(func(o *Options, b bool) { o.XPubManual = b }),
	"xpub_manual_last_value":   flag(func(o *Options, b bool) { o.XPubManualLastValue = b }),
	"xpub_welcome_msg":         octets(func(o *Options, b []byte) { o.XPubWelcome = b }),
	"only_first_subscribe":     flag(func(o *Options, b bool) { o.OnlyFirstSubscribe = b }),
	"xsub_verbose_unsubscribe": flag(func(o *Options, b bool) { o.XSubVerboseUnsubscribe = b }),
	"invert_matching":          flag(func(o *Options, b bool) { o.InvertMatching = b }),
	"plain_server":             setServer(MechanismPlain),
	"plain_username": bounded(1, func(o *Options, v string) {
		o.Security.Mechanism, o.Security.Server, o.Security.Username = MechanismPlain, false, v
	}),
	"plain_password": bounded(1, func(o *Options, v string) {
		o.Security.Mechanism, o.Security.Server, o.Security.Password = MechanismPlain, false, v
	}),
	"curve_server":    setServer(MechanismCurve),
	"curve_publickey": curveKey(func(s *Security, k CurveKey) { s.PublicKey, s.Mechanism = k, MechanismCurve }),
	"curve_secretkey": curveKey(func(s *Security, k CurveKey) { s.SecretKey, s.Mechanism = k, MechanismCurve }),
	"curve_serverkey": curveKey(func(s *Security, k CurveKey) {
		s.ServerKey, s.Mechanism, s.Server = k, MechanismCurve, false
	}),
	"req_correlate":      flag(func(o *Options, b bool) { o.ReqCorrelate = b }),
	"req_relaxed":        flag(func(o *Options, b bool) { o.ReqRelaxed = b }),
	"conflate":           flag(func(o *Options, b bool) { o.Conflate = b }),
	"conflate_topics":    flag(func(o *Options, b bool) { o.ConflateTopics = b }), // ours, not libzmq's
	"zap_domain":         bounded(0, func(o *Options, v string) { o.Security.ZAPDomain = v }),
	"zap_enforce_domain": flag(func(o *Options, b bool) { o.Security.ZAPEnforceDomain = b }),
	"tos":                number(0, 255, func(o *Options, n int) { o.TOS = n }),
	"priority":           number(0, 1<<31-1, func(o *Options, n int) { o.Priority = n }),
	"handshake_ivl":      millis(0, func(o *Options, d time.Duration) { o.HandshakeTimeout = d }),
	"socks_proxy":        setSocksProxy,
	"socks_username":     bounded(0, func(o *Options, v string) { o.SocksUsername = v }),
	"socks_password":     bounded(0, func(o *Options, v string) { o.SocksPassword = v }),
	"stream_notify":      flag(func(o *Options, b bool) { o.StreamNotify = b }),
	"heartbeat_ivl":      millis(0, func(o *Options, d time.Duration) { o.HeartbeatInterval = d }),
	"heartbeat_ttl":      setHeartbeatTTL,
	"heartbeat_timeout":  millis(-1, func(o *Options, d time.Duration) { o.HeartbeatTimeout = d }),
	"connect_timeout":    millis(0, func(o *Options, d time.Duration) { o.ConnectTimeout = d }),
	"bindtodevice":       setDevice,
	"loopback_fastpath":  flag(func(o *Options, b bool) {}),
	"busy_poll":          number(0, 1<<31-1, func(o *Options, n int) {}),
	"metadata":           setMetadata,
	"in_batch_size":      number(1, 1<<31-1, func(o *Options, n int) {}),
	"out_batch_size":     number(1, 1<<31-1, func(o *Options, n int) {}),
	"wss_key_pem":        setWSSKey,
	"wss_cert_pem":       setWSSCert,
	"wss_trust_pem":      setWSSTrust,
	"wss_trust_system":   setWSSTrustSystem,
	"wss_hostname":       octets(func(o *Options, b []byte) { o.ownTLS().ServerName = string(b) }),
	"hello_msg":          octets(func(o *Options, b []byte) { o.HelloMsg = b }),
	"disconnect_msg":     octets(func(o *Options, b []byte) { o.DisconnectMsg = b }),
	"hiccup_msg":         octets(func(o *Options, b []byte) { o.HiccupMsg = b }),
}

// OptionNames are the names that SetOption knows, sorted. The sockets that
// subscribe and the XPUB know subscribe and unsubscribe as well.
func OptionNames() []string { return slices.Sorted(maps.Keys(optionNames)) }

// optionOwners are the options that libzmq's sockets of other types refuse. A
// REP takes a ROUTER's, and a PUB an XPUB's, as there.
var optionOwners = map[string][]Type{
	"router_mandatory":         {TypeRouter, TypeRep},
	"fail_unroutable":          {TypeRouter, TypeRep},
	"router_behavior":          {TypeRouter, TypeRep},
	"router_raw":               {TypeRouter, TypeRep},
	"router_handover":          {TypeRouter, TypeRep},
	"router_notify":            {TypeRouter, TypeRep},
	"connect_routing_id":       {TypeRouter, TypeRep, TypeStream},
	"connect_rid":              {TypeRouter, TypeRep, TypeStream},
	"probe_router":             {TypeRouter, TypeRep, TypeDealer, TypeReq},
	"req_relaxed":              {TypeReq},
	"req_correlate":            {TypeReq},
	"xpub_verbose":             {TypeXPub, TypePub},
	"xpub_verboser":            {TypeXPub, TypePub},
	"xpub_nodrop":              {TypeXPub, TypePub},
	"xpub_manual":              {TypeXPub, TypePub},
	"xpub_manual_last_value":   {TypeXPub, TypePub},
	"xpub_welcome_msg":         {TypeXPub, TypePub},
	"only_first_subscribe":     {TypeXPub, TypePub, TypeXSub},
	"xsub_verbose_unsubscribe": {TypeXSub},
	"conflate_topics":          {TypeSub},
	"stream_notify":            {TypeStream},
}

func (o *Options) set(name, value string) error {
	plain := strings.TrimPrefix(strings.ToLower(name), "zmq_")
	f, ok := optionNames[plain]
	if !ok {
		return fmt.Errorf("zmq: %s: %w", unsettable(plain), ErrNotSupported)
	}
	if owners := optionOwners[plain]; owners != nil && !slices.Contains(owners, o.of) {
		return fmt.Errorf("zmq: option %s on a %v socket, expected %v: %w", name, o.of, oneOf(owners), ErrNotSupported)
	}
	if err := f(o, value); err != nil {
		return fmt.Errorf("zmq: option %s: %w", name, err)
	}
	return nil
}

// readOnly are libzmq's options that can only be read.
var readOnly = []string{"rcvmore", "fd", "events", "type", "last_endpoint", "mechanism", "thread_safe", "topics_count"}

// unsettable tells why there is nothing to set by a name.
func unsettable(name string) string {
	switch {
	case slices.Contains(readOnly, name):
		return fmt.Sprintf("option %s can only be read", name)
	case strings.HasPrefix(name, "gssapi_"):
		return fmt.Sprintf("option %s: no mechanism GSSAPI, expected PLAIN or CURVE", name)
	case strings.HasPrefix(name, "vmci_"), strings.HasPrefix(name, "norm_"):
		return fmt.Sprintf("option %s: no transport %s", name, name[:4])
	}
	return fmt.Sprintf("no option %q", name)
}

func oneOf(types []Type) string {
	var names []string
	for _, t := range types {
		names = append(names, t.String())
	}
	return strings.Join(names, " or ")
}

// subscribing are the sockets that the options subscribe and unsubscribe
// work on.
type subscribing interface {
	subscribe(topic []byte) error
	unsubscribe(topic []byte) error
}

func (s *core) setOption(name, value string) error {
	if err := s.alive(); err != nil {
		return err
	}
	switch strings.TrimPrefix(strings.ToLower(name), "zmq_") {
	case "subscribe", "unsubscribe":
		add := !strings.Contains(strings.ToLower(name), "un")
		switch x := s.pat.(type) {
		case subscribing:
			if add {
				return x.subscribe([]byte(value))
			}
			return x.unsubscribe([]byte(value))
		case *xpub:
			if err := x.manually(add, value); err != nil {
				return fmt.Errorf("zmq: option %s on a %v socket without xpub_manual: %w", name, s.typ, err)
			}
			return nil
		}
		return fmt.Errorf("zmq: option %s on a %v socket: %w", name, s.typ, ErrNotSupported)
	}
	s.opt.Lock()
	o := s.o
	err := o.set(name, value)
	if err == nil {
		s.o = o
	}
	s.opt.Unlock()
	if err != nil {
		return err
	}
	s.optionsChanged()
	return nil
}

func number(low, high int64, f func(*Options, int)) setter {
	return func(o *Options, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < low || n > high {
			return fmt.Errorf("%q, expected a number from %d to %d", v, low, high)
		}
		f(o, int(n))
		return nil
	}
}

func flag(f func(*Options, bool)) setter {
	return func(o *Options, v string) error {
		switch v {
		case "0", "false":
			f(o, false)
		case "1", "true":
			f(o, true)
		default:
			return fmt.Errorf("%q, expected 0 or 1", v)
		}
		return nil
	}
}

func millis(low int64, f func(*Options, time.Duration)) setter {
	return number(low, 1<<31-1, func(o *Options, n int) {
		if n < 0 {
			f(o, -1)
		} else {
			f(o, time.Duration(n)*time.Millisecond)
		}
	})
}

func seconds(f func(*Options, time.Duration)) setter {
	return number(-1, 1<<31-1, func(o *Options, n int) {
		if n < 0 {
			f(o, -1)
		} else {
			f(o, time.Duration(n)*time.Second)
		}
	})
}

// maxOctets bounds the options that are text or octets.
const maxOctets = 1 << 16

func octets(f func(*Options, []byte)) setter {
	return func(o *Options, v string) error {
		if len(v) > maxOctets {
			return fmt.Errorf("%d octets, expected at most %d", len(v), maxOctets)
		}
		f(o, []byte(v))
		return nil
	}
}

// bounded reads a text whose length goes on the wire as one octet.
func bounded(low int, f func(*Options, string)) setter {
	return func(o *Options, v string) error {
		if len(v) < low || len(v) > 255 {
			return fmt.Errorf("%d octets, expected %d to 255", len(v), low)
		}
		f(o, v)
		return nil
	}
}

// setAffinity reads libzmq's mask of I/O threads, of which there are none.
func setAffinity(_ *Options, v string) error {
	if _, err := strconv.ParseUint(v, 10, 64); err != nil {
		return fmt.Errorf("%q, expected a number from 0 to %d", v, uint64(math.MaxUint64))
	}
	return nil
}

// maxDevice bounds the name of a network interface: IFNAMSIZ without its NUL.
const maxDevice = 15

func setDevice(o *Options, v string) error {
	if len(v) > maxDevice {
		return fmt.Errorf("%q, expected an interface name of at most %d octets", v, maxDevice)
	}
	o.BindToDevice = v
	return nil
}

func setSocksProxy(o *Options, v string) error {
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

func curveKey(f func(*Security, CurveKey)) setter {
	return func(o *Options, v string) error {
		k, err := ParseCurveKey(v)
		if err == nil {
			f(&o.Security, k)
		}
		return err
	}
}

func setServer(m Mechanism) setter {
	return flag(func(o *Options, b bool) {
		if b {
			o.Security.Mechanism, o.Security.Server = m, true
		} else {
			o.Security.Mechanism, o.Security.Server = MechanismNull, false
		}
	})
}

func setIdentity(o *Options, v string) error { return WithIdentity([]byte(v))(o) }

func setConnectRoutingID(o *Options, v string) error {
	if err := checkIdentity([]byte(v)); err != nil {
		return err
	}
	o.ConnectRoutingID = []byte(v)
	return nil
}

// setMaxMsgSize bounds frames, as libzmq does; the limit of a whole message
// only gives way to it.
func setMaxMsgSize(o *Options, v string) error {
	return number(-1, 1<<62, func(o *Options, n int) {
		o.MaxFrame = int64(n)
		if n < 0 || o.MaxMessage >= 0 && o.MaxFrame > o.MaxMessage {
			o.MaxMessage = o.MaxFrame
		}
	})(o, v)
}

func setAcceptFilter(o *Options, v string) error {
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

func setHeartbeatTTL(o *Options, v string) error {
	return number(0, 6553599, func(o *Options, n int) {
		o.HeartbeatTTL = time.Duration(n) * time.Millisecond
	})(o, v)
}

func setMetadata(o *Options, v string) error {
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
