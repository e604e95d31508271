package zmq4

import zmq4 "lintel.dev/compat/pebbe"

// The functions of package compat/pebbe. Those without a Context use its default
// context.

// AsErrno returns err if it is an Errno or a syscall.Errno, else 0. It does not
// unwrap.
func AsErrno(err error) Errno { return zmq4.AsErrno(err) }

// AuthAllow allows peers with one of the addresses, which may be networks in CIDR
// notation, to connect to sockets of a ZAP domain; all others are refused. Domain
// "*" stands for all. PLAIN and CURVE need a user or key besides. If domain is an
// address, it is the first of the addresses, for all domains.
func AuthAllow(domain string, addresses ...string) { zmq4.AuthAllow(domain, addresses...) }

// AuthCurveAdd allows clients with one of the public keys, in Z85, in a ZAP
// domain, "*" for all. CURVE_ALLOW_ANY stands for all keys.
func AuthCurveAdd(domain string, pubkeys ...string) { zmq4.AuthCurveAdd(domain, pubkeys...) }

// AuthCurvePublic returns the public key of a secret key, both in Z85.
func AuthCurvePublic(z85SecretKey string) (z85PublicKey string, err error) {
	return zmq4.AuthCurvePublic(z85SecretKey)
}

// AuthCurveRemove removes public keys from a ZAP domain.
func AuthCurveRemove(domain string, pubkeys ...string) { zmq4.AuthCurveRemove(domain, pubkeys...) }

// AuthCurveRemoveAll removes all public keys from a ZAP domain.
func AuthCurveRemoveAll(domain string) { zmq4.AuthCurveRemoveAll(domain) }

// AuthDeny refuses peers with one of the addresses. It has no effect in a domain
// with an AuthAllow. The arguments are those of AuthAllow.
func AuthDeny(domain string, addresses ...string) { zmq4.AuthDeny(domain, addresses...) }

// AuthMetaBlob encodes a property as the metadata of ZAP has it. A key may have
// 255 octets.
func AuthMetaBlob(key, value string) (blob []byte, err error) {
	return zmq4.AuthMetaBlob(key, value)
}

// AuthPlainAdd adds a user of PLAIN in a ZAP domain, "*" for all.
func AuthPlainAdd(domain, username, password string) {
	zmq4.AuthPlainAdd(domain, username, password)
}

// AuthPlainRemove removes users of PLAIN from a ZAP domain.
func AuthPlainRemove(domain string, usernames ...string) {
	zmq4.AuthPlainRemove(domain, usernames...)
}

// AuthPlainRemoveAll removes all users of PLAIN from a ZAP domain.
func AuthPlainRemoveAll(domain string) { zmq4.AuthPlainRemoveAll(domain) }

// AuthSetMetadataHandler sets a function that returns the metadata of a peer that
// is let in. User-Id becomes the user id of ZAP; the others are added to the
// metadata of messages. The arguments are the frames of the ZAP request (RFC 27).
func AuthSetMetadataHandler(
	handler func(version, request_id, domain, address, identity, mechanism string, credentials ...string) (metadata map[string]string),
) {
	zmq4.AuthSetMetadataHandler(handler)
}

// AuthSetVerbose sets whether the log package gets a line for each decision.
// Passwords are not logged.
func AuthSetVerbose(verbose bool) { zmq4.AuthSetVerbose(verbose) }

// AuthStart starts a ZAP handler that decides about the peers of the sockets of
// the default context, by the rules of AuthAllow, AuthDeny, AuthPlainAdd and
// AuthCurveAdd. Without rules it lets in all peers of NULL, and no others.
func AuthStart() (err error) { return zmq4.AuthStart() }

// AuthStop ends what AuthStart started.
func AuthStop() { zmq4.AuthStop() }

// Error returns the text of an error number, as zmq_strerror does.
func Error(e int) string { return zmq4.Error(e) }

// GetBlocky is Context.GetBlocky of the default context.
func GetBlocky() (bool, error) { return zmq4.GetBlocky() }

// GetIoThreads is Context.GetIoThreads of the default context.
func GetIoThreads() (int, error) { return zmq4.GetIoThreads() }

// GetIpv6 is Context.GetIpv6 of the default context.
func GetIpv6() (bool, error) { return zmq4.GetIpv6() }

// GetMaxMsgsz is Context.GetMaxMsgsz of the default context.
func GetMaxMsgsz() (int, error) { return zmq4.GetMaxMsgsz() }

// GetMaxSockets is Context.GetMaxSockets of the default context.
func GetMaxSockets() (int, error) { return zmq4.GetMaxSockets() }

// GetRetryAfterEINTR is Context.GetRetryAfterEINTR of the default context.
func GetRetryAfterEINTR() bool { return zmq4.GetRetryAfterEINTR() }

// HasCurve reports whether there is a mechanism CURVE.
func HasCurve() bool { return zmq4.HasCurve() }

// HasGssapi reports whether there is a mechanism GSSAPI.
func HasGssapi() bool { return zmq4.HasGssapi() }

// HasIpc reports whether there is a transport ipc.
func HasIpc() bool { return zmq4.HasIpc() }

// HasNorm reports whether there is a transport norm.
func HasNorm() bool { return zmq4.HasNorm() }

// HasPgm reports whether there is a transport pgm or epgm.
func HasPgm() bool { return zmq4.HasPgm() }

// HasTipc reports whether there is a transport tipc.
func HasTipc() bool { return zmq4.HasTipc() }

// NewCurveKeypair returns a new key pair of CURVE in Z85.
func NewCurveKeypair() (z85_public_key, z85_secret_key string, err error) {
	return zmq4.NewCurveKeypair()
}

// SetBlocky is Context.SetBlocky of the default context.
func SetBlocky(i bool) error { return zmq4.SetBlocky(i) }

// SetIoThreads is Context.SetIoThreads of the default context.
func SetIoThreads(n int) error { return zmq4.SetIoThreads(n) }

// SetIpv6 is Context.SetIpv6 of the default context.
func SetIpv6(i bool) error { return zmq4.SetIpv6(i) }

// SetMaxMsgsz is Context.SetMaxMsgsz of the default context.
func SetMaxMsgsz(n int) error { return zmq4.SetMaxMsgsz(n) }

// SetMaxSockets is Context.SetMaxSockets of the default context.
func SetMaxSockets(n int) error { return zmq4.SetMaxSockets(n) }

// SetRetryAfterEINTR is Context.SetRetryAfterEINTR of the default context.
func SetRetryAfterEINTR(retry bool) { zmq4.SetRetryAfterEINTR(retry) }

// SetThreadPriority is Context.SetThreadPriority of the default context.
func SetThreadPriority(n int) error { return zmq4.SetThreadPriority(n) }

// SetThreadSchedPolicy is Context.SetThreadSchedPolicy of the default context.
func SetThreadSchedPolicy(n int) error { return zmq4.SetThreadSchedPolicy(n) }

// Term is Context.Term of the default context.
func Term() error { return zmq4.Term() }

// Version returns the version of libzmq whose behaviour this package has.
func Version() (major, minor, patch int) { return zmq4.Version() }

// Z85decode decodes Z85. It panics if the length is not a multiple of 5. The
// result of a text that is not Z85 is undefined.
func Z85decode(s string) string { return zmq4.Z85decode(s) }

// Z85encode encodes octets in Z85. It panics if their number is not a multiple
// of 4.
func Z85encode(data string) string { return zmq4.Z85encode(data) }
