package zmq

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lintel.dev/internal/zmq/zmtp"
)

// option is an option that has a name. It reads and writes a value as users of
// libzmq write it.
type option struct {
	set func(o *options, v string) error
	get func(o *options) string // nil: a secret, or nothing to read
}

// optionNames are libzmq's options by their lower-case names without ZMQ_. The
// last ones are not in libzmq.
var optionNames = map[string]option{
	"affinity":                 {set: setAffinity, get: zero},
	"routing_id":               routingID(func(o *options) *[]byte { return &o.Identity }),
	"identity":                 routingID(func(o *options) *[]byte { return &o.Identity }),
	"rate":                     number(1, maxInt, func(o *options) *int { return &o.Rate }),
	"recovery_ivl":             {setRecovery, millis(0, func(o *options) *time.Duration { return &o.Recovery }).get},
	"sndbuf":                   number(-1, maxInt, func(o *options) *int { return &o.SendBuffer }),
	"rcvbuf":                   number(-1, maxInt, func(o *options) *int { return &o.RecvBuffer }),
	"linger":                   millis(-1, func(o *options) *time.Duration { return &o.Linger }),
	"reconnect_ivl":            millis(-1, func(o *options) *time.Duration { return &o.Reconnect }),
	"reconnect_ivl_max":        millis(0, func(o *options) *time.Duration { return &o.ReconnectMax }),
	"reconnect_stop":           number(0, 7, func(o *options) *int { return &o.Stop }),
	"backlog":                  number(0, maxInt, func(o *options) *int { return &o.Backlog }),
	"maxmsgsize":               {setMaxMsgSize, func(o *options) string { return fmt.Sprint(o.MaxFrame) }},
	"sndhwm":                   number(0, maxInt, func(o *options) *int { return &o.SendHWM }),
	"rcvhwm":                   number(0, maxInt, func(o *options) *int { return &o.RecvHWM }),
	"multicast_hops":           number(1, 255, func(o *options) *int { return &o.MulticastHops }),
	"multicast_maxtpdu":        number(64, 65000, func(o *options) *int { return &o.MulticastTPDU }),
	"multicast_loop":           flag(func(o *options) *bool { return &o.MulticastLoop }),
	"sndtimeo":                 millis(-1, func(o *options) *time.Duration { return &o.SendTimeout }),
	"rcvtimeo":                 millis(-1, func(o *options) *time.Duration { return &o.RecvTimeout }),
	"ipv4only":                 not(flag(func(o *options) *bool { return &o.IPv6 })),
	"ipv6":                     flag(func(o *options) *bool { return &o.IPv6 }),
	"router_mandatory":         flag(func(o *options) *bool { return &o.RouterMandatory }),
	"router_raw":               flag(func(o *options) *bool { return &o.RouterRaw }),
	"fail_unroutable":          flag(func(o *options) *bool { return &o.RouterMandatory }),
	"router_behavior":          flag(func(o *options) *bool { return &o.RouterMandatory }),
	"use_fd":                   number(-1, maxInt, func(o *options) *int { return &o.UseFD }),
	"delay_attach_on_connect":  flag(func(o *options) *bool { return &o.Immediate }),
	"probe_router":             flag(func(o *options) *bool { return &o.ProbeRouter }),
	"router_handover":          flag(func(o *options) *bool { return &o.RouterHandover }),
	"router_notify":            number(0, 3, func(o *options) *int { return &o.RouterNotify }),
	"connect_routing_id":       routingID(func(o *options) *[]byte { return &o.ConnectRoutingID }),
	"connect_rid":              routingID(func(o *options) *[]byte { return &o.ConnectRoutingID }),
	"tcp_keepalive":            number(-1, 1, func(o *options) *int { return &o.KeepAlive }),
	"tcp_keepalive_cnt":        number(-1, maxInt, func(o *options) *int { return &o.KeepCount }),
	"tcp_keepalive_idle":       seconds(func(o *options) *time.Duration { return &o.KeepIdle }),
	"tcp_keepalive_intvl":      seconds(func(o *options) *time.Duration { return &o.KeepInterval }),
	"tcp_maxrt":                millis(0, func(o *options) *time.Duration { return &o.MaxRT }),
	"tcp_accept_filter":        {setAcceptFilter, func(o *options) string { return strings.Join(o.AcceptFilters, ",") }},
	"ipc_filter_pid":           numbers(maxInt, func(o *options) *[]int { return &o.IPCFilterPID }),
	"ipc_filter_uid":           numbers(1<<32-1, func(o *options) *[]int { return &o.IPCFilterUID }),
	"ipc_filter_gid":           numbers(1<<32-1, func(o *options) *[]int { return &o.IPCFilterGID }),
	"immediate":                flag(func(o *options) *bool { return &o.Immediate }),
	"xpub_verbose":             {setVerbose, flag(func(o *options) *bool { return &o.XPubVerbose }).get},
	"xpub_verboser":            flag(func(o *options) *bool { return &o.XPubVerboser }),
	"xpub_nodrop":              flag(func(o *options) *bool { return &o.XPubNoDrop }),
	"xpub_manual":              flag(func(o *options) *bool { return &o.XPubManual }),
	"xpub_manual_last_value":   flag(func(o *options) *bool { return &o.XPubManualLastValue }),
	"xpub_welcome_msg":         octets(func(o *options) *[]byte { return &o.XPubWelcome }),
	"only_first_subscribe":     flag(func(o *options) *bool { return &o.OnlyFirstSubscribe }),
	"xsub_verbose_unsubscribe": flag(func(o *options) *bool { return &o.XSubVerboseUnsubscribe }),
	"invert_matching":          flag(func(o *options) *bool { return &o.InvertMatching }),
	"plain_server":             serverOf(mechanismPlain),
	"plain_username":           credential(func(sec *security) *string { return &sec.Username }),
	"plain_password":           secret(credential(func(sec *security) *string { return &sec.Password })),
	"curve_server":             serverOf(mechanismCurve),
	"curve_publickey": curveKey(func(sec *security, k PublicKey) { sec.PublicKey = k },
		func(sec *security) PublicKey { return sec.PublicKey }),
	"curve_secretkey": {set: setSecretKey},
	"curve_serverkey": curveKey(func(sec *security, k PublicKey) { sec.ServerKey, sec.Server = k, false },
		func(sec *security) PublicKey { return sec.ServerKey }),
	"req_correlate":      flag(func(o *options) *bool { return &o.ReqCorrelate }),
	"req_relaxed":        flag(func(o *options) *bool { return &o.ReqRelaxed }),
	"conflate":           flag(func(o *options) *bool { return &o.Conflate }),
	"zap_domain":         bounded(0, func(o *options) *string { return &o.Security.ZAPDomain }),
	"zap_enforce_domain": flag(func(o *options) *bool { return &o.Security.ZAPEnforceDomain }),
	"tos":                number(0, 255, func(o *options) *int { return &o.TOS }),
	"priority":           number(0, maxInt, func(o *options) *int { return &o.Priority }),
	"handshake_ivl":      millis(0, func(o *options) *time.Duration { return &o.HandshakeTimeout }),
	"socks_proxy":        {setSocksProxy, func(o *options) string { return o.SocksProxy }},
	"socks_username":     bounded(0, func(o *options) *string { return &o.SocksUsername }),
	"socks_password":     secret(bounded(0, func(o *options) *string { return &o.SocksPassword })),
	"stream_notify":      flag(func(o *options) *bool { return &o.StreamNotify }),
	"heartbeat_ivl":      millis(0, func(o *options) *time.Duration { return &o.HeartbeatInterval }),
	"heartbeat_ttl":      {setHeartbeatTTL, millis(0, func(o *options) *time.Duration { return &o.HeartbeatTTL }).get},
	"heartbeat_timeout":  millis(-1, func(o *options) *time.Duration { return &o.HeartbeatTimeout }),
	"connect_timeout":    millis(0, func(o *options) *time.Duration { return &o.ConnectTimeout }),
	"bindtodevice":       {setDevice, func(o *options) string { return o.BindToDevice }},
	"loopback_fastpath":  {set: ignoreFlag, get: zero},
	"busy_poll":          {set: ignoreNumber(0), get: zero},
	"metadata":           {setMetadata, getMetadata},
	"in_batch_size":      {set: ignoreNumber(1), get: zero},
	"out_batch_size":     {set: ignoreNumber(1), get: zero},
	"wss_key_pem":        {set: setWSSKey},
	"wss_cert_pem":       {setWSSCert, func(o *options) string { return o.wssCert }},
	"wss_trust_pem":      {set: setWSSTrust},
	"wss_trust_system":   {set: setWSSTrustSystem},
	"wss_hostname":       {setWSSHostname, getWSSHostname},
	"hello_msg":          octets(func(o *options) *[]byte { return &o.HelloMsg }),
	"disconnect_msg":     octets(func(o *options) *[]byte { return &o.DisconnectMsg }),
	"hiccup_msg":         octets(func(o *options) *[]byte { return &o.HiccupMsg }),
	"subscribe":          {set: setSubscribe}, // of an existing socket: see setOption
	"unsubscribe":        {set: setUnsubscribe},

	"conflate_topics":   flag(func(o *options) *bool { return &o.ConflateTopics }),
	"rcvhwm_octets":     number(0, maxInt, func(o *options) *int { return &o.RecvBytes }),
	"max_message":       {setMaxMessage, func(o *options) string { return fmt.Sprint(o.MaxMessage) }},
	"max_frames":        number(1, maxInt, func(o *options) *int { return &o.MaxFrames }),
	"unfinished_octets": number(0, maxInt, func(o *options) *int { return &o.UnfinishedBytes }),
	"ws_origins":        {setOrigins, func(o *options) string { return strings.Join(o.WebSocketOrigins, ",") }},
}

// OptionNames returns the names that SetOption knows, sorted. They are
// libzmq's, and six that libzmq does not have: conflate_topics keeps the latest
// message of each topic of a SUB, max_message and max_frames bound a message
// that is received, rcvhwm_octets bounds the octets that wait from a peer, and from
// all peers together but for 1 MiB of each (64 MiB; peers are held back), unfinished_octets bounds the octets of incomplete
// messages of all peers but the one with the most (512 MiB; beyond, the peer is
// disconnected that sent nothing for the longest time), ws_origins lists the hosts whose web
// pages may connect.
func OptionNames() []string { return slices.Sorted(maps.Keys(optionNames)) }

// optionOwners are the options that libzmq's sockets of other types refuse. A
// REP takes those of a ROUTER and a PUB those of an XPUB, as in libzmq.
var optionOwners = map[string][]zmtp.SocketType{
	"router_mandatory":         {zmtp.ROUTER, zmtp.REP},
	"fail_unroutable":          {zmtp.ROUTER, zmtp.REP},
	"router_behavior":          {zmtp.ROUTER, zmtp.REP},
	"router_raw":               {zmtp.ROUTER, zmtp.REP},
	"router_handover":          {zmtp.ROUTER, zmtp.REP},
	"router_notify":            {zmtp.ROUTER, zmtp.REP},
	"connect_routing_id":       {zmtp.ROUTER, zmtp.REP, zmtp.STREAM},
	"connect_rid":              {zmtp.ROUTER, zmtp.REP, zmtp.STREAM},
	"probe_router":             {zmtp.ROUTER, zmtp.REP, zmtp.DEALER, zmtp.REQ},
	"req_relaxed":              {zmtp.REQ},
	"req_correlate":            {zmtp.REQ},
	"xpub_verbose":             {zmtp.XPUB, zmtp.PUB},
	"xpub_verboser":            {zmtp.XPUB, zmtp.PUB},
	"xpub_nodrop":              {zmtp.XPUB, zmtp.PUB},
	"xpub_manual":              {zmtp.XPUB, zmtp.PUB},
	"xpub_manual_last_value":   {zmtp.XPUB, zmtp.PUB},
	"xpub_welcome_msg":         {zmtp.XPUB, zmtp.PUB},
	"only_first_subscribe":     {zmtp.XPUB, zmtp.PUB, zmtp.XSUB},
	"xsub_verbose_unsubscribe": {zmtp.XSUB},
	"conflate_topics":          {zmtp.SUB},
	"stream_notify":            {zmtp.STREAM},
	"subscribe":                {zmtp.SUB, zmtp.XSUB},
	"unsubscribe":              {zmtp.SUB, zmtp.XSUB},
}

// plainName returns an option's name as optionNames has it.
func plainName(name string) string { return strings.TrimPrefix(strings.ToLower(name), "zmq_") }

func (o *options) set(name, value string) error {
	plain := plainName(name)
	known, ok := optionNames[plain]
	if !ok {
		return fmt.Errorf("zmq: %s: %w", unsettable(plain), ErrNotSupported)
	}
	if owners := optionOwners[plain]; owners != nil && !slices.Contains(owners, o.of) {
		return fmt.Errorf("zmq: option %s on a %v socket, expected %v: %w", name, o.of, oneOf(owners), ErrNotSupported)
	}
	if err := known.set(o, value); err != nil {
		return fmt.Errorf("zmq: option %s: %w", name, err)
	}
	return nil
}

// readOnly are libzmq's options that can only be read.
var readOnly = []string{"rcvmore", "fd", "events", "type", "last_endpoint", "mechanism", "thread_safe", "topics_count"}

// unsettable returns why there is nothing to set by a name.
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

func oneOf(types []zmtp.SocketType) string {
	var names []string
	for _, t := range types {
		names = append(names, t.String())
	}
	return strings.Join(names, " or ")
}

// subscribing are the sockets whose options subscribe and unsubscribe work.
type subscribing interface {
	subscribe(topic []byte) error
	unsubscribe(topic []byte) error
}

func (s *core) setOption(name, value string) error {
	if err := s.alive(); err != nil {
		return err
	}
	switch plain := plainName(name); plain {
	case "subscribe", "unsubscribe":
		switch x := s.pat.(type) {
		case subscribing:
			if plain == "subscribe" {
				return x.subscribe([]byte(value))
			}
			return x.unsubscribe([]byte(value))
		case *xpub:
			if err := x.manually(plain == "subscribe", value); err != nil {
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

// option returns the value of an option by name.
func (s *core) option(name string) (string, error) {
	switch plainName(name) {
	case "type":
		return s.typ.String(), nil
	case "last_endpoint":
		return s.endpoints.lastAddr(), nil
	case "mechanism":
		m := s.options().Security.Mechanism
		if m == "" {
			m = mechanismNull
		}
		return m, nil
	}
	known, ok := optionNames[plainName(name)]
	switch {
	case !ok && slices.Contains(readOnly, plainName(name)):
		return "", fmt.Errorf("zmq: option %s: %w", name, ErrNotSupported)
	case !ok:
		return "", fmt.Errorf("zmq: %s: %w", unsettable(plainName(name)), ErrNotSupported)
	case known.get == nil:
		return "", fmt.Errorf("zmq: option %s cannot be read: %w", name, ErrNotSupported)
	}
	o := s.options()
	return known.get(&o), nil
}
