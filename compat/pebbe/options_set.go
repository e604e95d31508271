package zmq4

import "time"

// The options that can be set; option.go has those that need more than a name.
// Durations are truncated to milliseconds. Where -1 (ns) has a meaning, the
// comment says so.

// SetBacklog sets the length of the queue of connections that wait to be accepted.
func (soc *Socket) SetBacklog(value int) error { return soc.setInt("backlog", value) }

// SetConflate sets whether only the last message is kept.
func (soc *Socket) SetConflate(value bool) error { return soc.setBool("conflate", value) }

// SetConnectRid sets the routing id of the peer of the next Connect.
func (soc *Socket) SetConnectRid(value string) error { return soc.setString("connect_rid", value) }

// SetConnectTimeout sets the time limit of an attempt to connect; 0 is the system's.
func (soc *Socket) SetConnectTimeout(value time.Duration) error {
	return soc.setInt("connect_timeout", int(value/time.Millisecond))
}

// SetCurvePublickey sets the public key, 40 characters of Z85 or 32 octets.
func (soc *Socket) SetCurvePublickey(key string) error { return soc.setString("curve_publickey", key) }

// SetCurveServer sets whether the socket is a CURVE server: 0 or 1.
func (soc *Socket) SetCurveServer(value int) error { return soc.setFlag("curve_server", value) }

// SetCurveServerkey sets the server's public key, 40 characters of Z85 or 32 octets.
func (soc *Socket) SetCurveServerkey(key string) error { return soc.setString("curve_serverkey", key) }

// SetGssapiPlaintext sets whether GSSAPI connections are unencrypted. There is no GSSAPI: it returns EINVAL.
func (soc *Socket) SetGssapiPlaintext(_ bool) error { return soc.unknown() }

// SetGssapiPrincipal sets the GSSAPI principal. There is no GSSAPI: it returns EINVAL.
func (soc *Socket) SetGssapiPrincipal(_ string) error { return soc.unknown() }

// SetGssapiServer sets whether the socket is a GSSAPI server. There is no GSSAPI: it returns EINVAL.
func (soc *Socket) SetGssapiServer(_ bool) error { return soc.unknown() }

// SetGssapiServicePrincipal sets the GSSAPI service principal. There is no GSSAPI: it returns EINVAL.
func (soc *Socket) SetGssapiServicePrincipal(_ string) error { return soc.unknown() }

// SetHandshakeIvl sets the time limit of a handshake; 0 is none.
func (soc *Socket) SetHandshakeIvl(value time.Duration) error {
	return soc.setInt("handshake_ivl", int(value/time.Millisecond))
}

// SetHeartbeatIvl sets the interval of heartbeats; 0 is none.
func (soc *Socket) SetHeartbeatIvl(value time.Duration) error {
	return soc.setInt("heartbeat_ivl", int(value/time.Millisecond))
}

// SetHeartbeatTimeout sets the silence after a heartbeat that ends the connection.
func (soc *Socket) SetHeartbeatTimeout(value time.Duration) error {
	return soc.setInt("heartbeat_timeout", int(value/time.Millisecond))
}

// SetHeartbeatTtl sets the silence after which the peer shall end the connection.
func (soc *Socket) SetHeartbeatTtl(value time.Duration) error {
	return soc.setInt("heartbeat_ttl", int(value/time.Millisecond))
}

// SetIdentity sets the routing id, of 1 to 255 octets.
func (soc *Socket) SetIdentity(value string) error { return soc.setString("routing_id", value) }

// SetImmediate sets whether messages are queued only for connected peers.
func (soc *Socket) SetImmediate(value bool) error { return soc.setBool("immediate", value) }

// SetInvertMatching sets whether messages that match no subscription are sent: 0 or 1.
func (soc *Socket) SetInvertMatching(value int) error { return soc.setFlag("invert_matching", value) }

// SetIpv6 sets whether tcp names and wildcards mean IPv6 too.
func (soc *Socket) SetIpv6(value bool) error { return soc.setBool("ipv6", value) }

// SetLinger sets how long queued messages linger after Close; -1 is without limit.
func (soc *Socket) SetLinger(value time.Duration) error { return soc.setDuration("linger", value) }

// SetMulticastHops sets the time to live of multicast packets.
func (soc *Socket) SetMulticastHops(value int) error { return soc.setInt("multicast_hops", value) }

// SetMulticastMaxtpdu sets the size of the largest multicast datagram in octets.
func (soc *Socket) SetMulticastMaxtpdu(value int) error {
	return soc.setInt("multicast_maxtpdu", value)
}

// SetPlainServer sets whether the socket is a PLAIN server: 0 or 1.
func (soc *Socket) SetPlainServer(value int) error { return soc.setFlag("plain_server", value) }

// SetProbeRouter sets whether an empty message is sent to each new peer: 0 or 1.
func (soc *Socket) SetProbeRouter(value int) error { return soc.setFlag("probe_router", value) }

// SetRate sets the multicast rate in kbit/s.
func (soc *Socket) SetRate(value int) error { return soc.setInt("rate", value) }

// SetRcvbuf sets the size of the kernel's receive buffer in octets; -1 is the system's default.
func (soc *Socket) SetRcvbuf(value int) error { return soc.setInt("rcvbuf", value) }

// SetRcvhwm sets the high-water mark of incoming messages from each peer; 0 is no limit.
func (soc *Socket) SetRcvhwm(value int) error { return soc.setInt("rcvhwm", value) }

// SetRcvtimeo sets how long Recv waits; -1 is without limit.
func (soc *Socket) SetRcvtimeo(value time.Duration) error { return soc.setDuration("rcvtimeo", value) }

// SetReconnectIvl sets the first wait before a lost connection is made again; -1 is never.
func (soc *Socket) SetReconnectIvl(value time.Duration) error {
	return soc.setDuration("reconnect_ivl", value)
}

// SetReconnectIvlMax sets the longest wait between attempts to connect; 0 does not grow.
func (soc *Socket) SetReconnectIvlMax(value time.Duration) error {
	return soc.setInt("reconnect_ivl_max", int(value/time.Millisecond))
}

// SetRecoveryIvl sets how far back a multicast source can repair losses.
func (soc *Socket) SetRecoveryIvl(value time.Duration) error {
	return soc.setInt("recovery_ivl", int(value/time.Millisecond))
}

// SetReqCorrelate sets whether requests carry a number that replies must repeat: 0 or 1.
func (soc *Socket) SetReqCorrelate(value int) error { return soc.setFlag("req_correlate", value) }

// SetRouterHandover sets whether a new peer takes over a routing id in use.
func (soc *Socket) SetRouterHandover(value bool) error { return soc.setBool("router_handover", value) }

// SetRouterRaw sets whether the peers of a ROUTER speak plain TCP: 0 or 1.
func (soc *Socket) SetRouterRaw(value int) error { return soc.setFlag("router_raw", value) }

// SetSndbuf sets the size of the kernel's send buffer in octets; -1 is the system's default.
func (soc *Socket) SetSndbuf(value int) error { return soc.setInt("sndbuf", value) }

// SetSndhwm sets the high-water mark of outgoing messages for each peer; 0 is no limit.
func (soc *Socket) SetSndhwm(value int) error { return soc.setInt("sndhwm", value) }

// SetSocksProxy sets the SOCKS5 proxy as host:port; empty is none.
func (soc *Socket) SetSocksProxy(value string) error { return soc.setString("socks_proxy", value) }

// SetStreamNotify sets whether connections and disconnections are received as empty messages: 0 or 1.
func (soc *Socket) SetStreamNotify(value int) error { return soc.setFlag("stream_notify", value) }

// SetSubscribe subscribes a SUB to messages that start with filter.
func (soc *Socket) SetSubscribe(filter string) error { return soc.setString("subscribe", filter) }

// SetTcpAcceptFilter allows peers of one more address or network in CIDR notation; an empty filter allows all.
func (soc *Socket) SetTcpAcceptFilter(filter string) error {
	return soc.setString("tcp_accept_filter", filter)
}

// SetTcpKeepalive sets SO_KEEPALIVE: 0, 1, or -1 for the system's default.
func (soc *Socket) SetTcpKeepalive(value int) error { return soc.setInt("tcp_keepalive", value) }

// SetTcpKeepaliveCnt sets TCP_KEEPCNT; -1 is the system's default.
func (soc *Socket) SetTcpKeepaliveCnt(value int) error { return soc.setInt("tcp_keepalive_cnt", value) }

// SetTcpKeepaliveIdle sets TCP_KEEPIDLE in seconds; -1 is the system's default.
func (soc *Socket) SetTcpKeepaliveIdle(value int) error {
	return soc.setInt("tcp_keepalive_idle", value)
}

// SetTcpKeepaliveIntvl sets TCP_KEEPINTVL in seconds; -1 is the system's default.
func (soc *Socket) SetTcpKeepaliveIntvl(value int) error {
	return soc.setInt("tcp_keepalive_intvl", value)
}

// SetTcpMaxrt sets TCP_USER_TIMEOUT; 0 is the system's default.
func (soc *Socket) SetTcpMaxrt(value time.Duration) error {
	return soc.setInt("tcp_maxrt", int(value/time.Millisecond))
}

// SetTos sets the type of service of IP packets, 0 to 255.
func (soc *Socket) SetTos(value int) error { return soc.setInt("tos", value) }

// SetUnsubscribe undoes one SetSubscribe.
func (soc *Socket) SetUnsubscribe(filter string) error { return soc.setString("unsubscribe", filter) }

// SetUseFd sets a listening descriptor that Bind adopts.
func (soc *Socket) SetUseFd(value int) error { return soc.setInt("use_fd", value) }

// SetVmciBufferMaxSize sets the largest VMCI buffer size. There is no VMCI: it returns EINVAL.
func (soc *Socket) SetVmciBufferMaxSize(_ uint64) error { return soc.unknown() }

// SetVmciBufferMinSize sets the least VMCI buffer size. There is no VMCI: it returns EINVAL.
func (soc *Socket) SetVmciBufferMinSize(_ uint64) error { return soc.unknown() }

// SetVmciBufferSize sets the VMCI buffer size. There is no VMCI: it returns EINVAL.
func (soc *Socket) SetVmciBufferSize(_ uint64) error { return soc.unknown() }

// SetVmciConnectTimeout sets the VMCI connect timeout. There is no VMCI: it returns EINVAL.
func (soc *Socket) SetVmciConnectTimeout(_ time.Duration) error { return soc.unknown() }

// SetXpubManual sets whether SetSubscribe decides about subscriptions of peers: 0 or 1.
func (soc *Socket) SetXpubManual(value int) error { return soc.setFlag("xpub_manual", value) }

// SetXpubNodrop sets whether Send fails with EAGAIN instead of dropping a message.
func (soc *Socket) SetXpubNodrop(value bool) error { return soc.setBool("xpub_nodrop", value) }

// SetXpubVerbose sets whether repeated subscriptions are received: 0 or 1.
func (soc *Socket) SetXpubVerbose(value int) error { return soc.setFlag("xpub_verbose", value) }

// SetXpubVerboser sets whether repeated subscriptions and cancellations are received: 0 or 1.
func (soc *Socket) SetXpubVerboser(value int) error { return soc.setFlag("xpub_verboser", value) }

// SetXpubWelcomeMsg sets the first message to each new subscriber; empty is none.
func (soc *Socket) SetXpubWelcomeMsg(value string) error {
	return soc.setString("xpub_welcome_msg", value)
}

// SetZapDomain sets the ZAP domain.
func (soc *Socket) SetZapDomain(domain string) error { return soc.setString("zap_domain", domain) }
