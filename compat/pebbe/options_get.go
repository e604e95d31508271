package zmq4

import "time"

// The options that can be read; option.go has those that need more than a
// name. Durations are multiples of a millisecond, and -1 (ns) is no limit.

// GetBacklog returns the length of the queue of connections that wait to be accepted.
func (soc *Socket) GetBacklog() (int, error) { return soc.getInt("backlog") }

// GetConnectTimeout returns the time limit of an attempt to connect; 0 is the system's.
func (soc *Socket) GetConnectTimeout() (time.Duration, error) {
	return soc.getDuration("connect_timeout")
}

// GetCurvePublickeyRaw returns the public key as 32 octets.
func (soc *Socket) GetCurvePublickeyRaw() (string, error) { return raw(soc.getKey("curve_publickey")) }

// GetCurvePublickeykeyZ85 returns the public key in Z85.
func (soc *Socket) GetCurvePublickeykeyZ85() (string, error) { return soc.getKey("curve_publickey") }

// GetCurveServerkeyRaw returns the server's public key as 32 octets.
func (soc *Socket) GetCurveServerkeyRaw() (string, error) { return raw(soc.getKey("curve_serverkey")) }

// GetCurveServerkeyZ85 returns the server's public key in Z85.
func (soc *Socket) GetCurveServerkeyZ85() (string, error) { return soc.getKey("curve_serverkey") }

// GetGssapiPlaintext returns whether GSSAPI connections are unencrypted. There is no GSSAPI: it returns EINVAL.
func (soc *Socket) GetGssapiPlaintext() (bool, error) { return false, soc.unknown() }

// GetGssapiPrincipal returns the GSSAPI principal. There is no GSSAPI: it returns EINVAL.
func (soc *Socket) GetGssapiPrincipal() (string, error) { return "", soc.unknown() }

// GetGssapiServer returns whether the socket is a GSSAPI server. There is no GSSAPI: it returns EINVAL.
func (soc *Socket) GetGssapiServer() (bool, error) { return false, soc.unknown() }

// GetGssapiServicePrincipal returns the GSSAPI service principal. There is no GSSAPI: it returns EINVAL.
func (soc *Socket) GetGssapiServicePrincipal() (string, error) { return "", soc.unknown() }

// GetHandshakeIvl returns the time limit of a handshake; 0 is none.
func (soc *Socket) GetHandshakeIvl() (time.Duration, error) { return soc.getDuration("handshake_ivl") }

// GetIdentity returns the routing id, of 1 to 255 octets.
func (soc *Socket) GetIdentity() (string, error) { return soc.getString("routing_id") }

// GetImmediate returns whether messages are queued only for connected peers.
func (soc *Socket) GetImmediate() (bool, error) { return soc.getBool("immediate") }

// GetInvertMatching returns whether messages that match no subscription are sent: 0 or 1.
func (soc *Socket) GetInvertMatching() (int, error) { return soc.getInt("invert_matching") }

// GetIpv6 returns whether tcp names and wildcards mean IPv6 too.
func (soc *Socket) GetIpv6() (bool, error) { return soc.getBool("ipv6") }

// GetLastEndpoint returns the address of the last Bind or Connect.
func (soc *Socket) GetLastEndpoint() (string, error) { return soc.getString("last_endpoint") }

// GetLinger returns how long queued messages linger after Close; -1 is without limit.
func (soc *Socket) GetLinger() (time.Duration, error) { return soc.getDuration("linger") }

// GetMulticastHops returns the time to live of multicast packets.
func (soc *Socket) GetMulticastHops() (int, error) { return soc.getInt("multicast_hops") }

// GetMulticastMaxtpdu returns the size of the largest multicast datagram in octets.
func (soc *Socket) GetMulticastMaxtpdu() (int, error) { return soc.getInt("multicast_maxtpdu") }

// GetPlainServer returns whether the socket is a PLAIN server: 0 or 1.
func (soc *Socket) GetPlainServer() (int, error) { return soc.getInt("plain_server") }

// GetPlainUsername returns the user name of a PLAIN client.
func (soc *Socket) GetPlainUsername() (string, error) { return soc.getString("plain_username") }

// GetRate returns the multicast rate in kbit/s.
func (soc *Socket) GetRate() (int, error) { return soc.getInt("rate") }

// GetRcvbuf returns the size of the kernel's receive buffer in octets; -1 is the system's default.
func (soc *Socket) GetRcvbuf() (int, error) { return soc.getInt("rcvbuf") }

// GetRcvhwm returns the high-water mark of incoming messages from each peer; 0 is no limit.
func (soc *Socket) GetRcvhwm() (int, error) { return soc.getInt("rcvhwm") }

// GetRcvtimeo returns how long Recv waits; -1 is without limit.
func (soc *Socket) GetRcvtimeo() (time.Duration, error) { return soc.getDuration("rcvtimeo") }

// GetReconnectIvl returns the first wait before a lost connection is made again; -1 is never.
func (soc *Socket) GetReconnectIvl() (time.Duration, error) { return soc.getDuration("reconnect_ivl") }

// GetReconnectIvlMax returns the longest wait between attempts to connect; 0 does not grow.
func (soc *Socket) GetReconnectIvlMax() (time.Duration, error) {
	return soc.getDuration("reconnect_ivl_max")
}

// GetRecoveryIvl returns how far back a multicast source can repair losses.
func (soc *Socket) GetRecoveryIvl() (time.Duration, error) { return soc.getDuration("recovery_ivl") }

// GetSndbuf returns the size of the kernel's send buffer in octets; -1 is the system's default.
func (soc *Socket) GetSndbuf() (int, error) { return soc.getInt("sndbuf") }

// GetSndhwm returns the high-water mark of outgoing messages for each peer; 0 is no limit.
func (soc *Socket) GetSndhwm() (int, error) { return soc.getInt("sndhwm") }

// GetSndtimeo returns how long Send waits; -1 is without limit.
func (soc *Socket) GetSndtimeo() (time.Duration, error) { return soc.getDuration("sndtimeo") }

// GetSocksProxy returns the SOCKS5 proxy as host:port; empty is none.
func (soc *Socket) GetSocksProxy() (string, error) { return soc.getString("socks_proxy") }

// GetTcpKeepalive returns SO_KEEPALIVE: 0, 1, or -1 for the system's default.
func (soc *Socket) GetTcpKeepalive() (int, error) { return soc.getInt("tcp_keepalive") }

// GetTcpKeepaliveCnt returns TCP_KEEPCNT; -1 is the system's default.
func (soc *Socket) GetTcpKeepaliveCnt() (int, error) { return soc.getInt("tcp_keepalive_cnt") }

// GetTcpKeepaliveIdle returns TCP_KEEPIDLE in seconds; -1 is the system's default.
func (soc *Socket) GetTcpKeepaliveIdle() (int, error) { return soc.getInt("tcp_keepalive_idle") }

// GetTcpKeepaliveIntvl returns TCP_KEEPINTVL in seconds; -1 is the system's default.
func (soc *Socket) GetTcpKeepaliveIntvl() (int, error) { return soc.getInt("tcp_keepalive_intvl") }

// GetTcpMaxrt returns TCP_USER_TIMEOUT; 0 is the system's default.
func (soc *Socket) GetTcpMaxrt() (time.Duration, error) { return soc.getDuration("tcp_maxrt") }

// GetTos returns the type of service of IP packets, 0 to 255.
func (soc *Socket) GetTos() (int, error) { return soc.getInt("tos") }

// GetVmciBufferMaxSize returns the largest VMCI buffer size. There is no VMCI: it returns EINVAL.
func (soc *Socket) GetVmciBufferMaxSize() (uint64, error) { return 0, soc.unknown() }

// GetVmciBufferMinSize returns the least VMCI buffer size. There is no VMCI: it returns EINVAL.
func (soc *Socket) GetVmciBufferMinSize() (uint64, error) { return 0, soc.unknown() }

// GetVmciBufferSize returns the VMCI buffer size. There is no VMCI: it returns EINVAL.
func (soc *Socket) GetVmciBufferSize() (uint64, error) { return 0, soc.unknown() }

// GetVmciConnectTimeout returns the VMCI connect timeout. There is no VMCI: it returns EINVAL.
func (soc *Socket) GetVmciConnectTimeout() (time.Duration, error) { return 0, soc.unknown() }

// GetZapDomain returns the ZAP domain.
func (soc *Socket) GetZapDomain() (string, error) { return soc.getString("zap_domain") }

// Getusefd returns the descriptor that Bind adopts; -1 is none.
func (soc *Socket) Getusefd() (int, error) { return soc.getInt("use_fd") }
