package zmq4

import (
	"math"
	"strconv"
	"time"
)

// set sets an option by libzmq's name.
func (soc *Socket) set(name, value string) error {
	s, err := soc.opened()
	if err != nil {
		return err
	}
	return errnoOf(s.SetOption(name, value), einval)
}

func (soc *Socket) setString(name, value string) error { return soc.set(name, value) }

func (soc *Socket) setInt(name string, value int) error { return soc.set(name, strconv.Itoa(value)) }

func (soc *Socket) setBool(name string, value bool) error {
	if value {
		return soc.set(name, "1")
	}
	return soc.set(name, "0")
}

// setFlag sets an option that libzmq has as an int: any positive number is 1.
func (soc *Socket) setFlag(name string, value int) error { return soc.setInt(name, min(value, 1)) }

// setDuration sets an option in milliseconds.
func (soc *Socket) setDuration(name string, value time.Duration) error {
	return soc.setInt(name, millis(value))
}

// millis returns d in milliseconds, truncated, and -1 for -1 ns.
func millis(d time.Duration) int {
	if d == -1 {
		return -1
	}
	ms := d / time.Millisecond
	return int(max(min(ms, math.MaxInt32), math.MinInt32))
}

// getString returns an option by libzmq's name.
func (soc *Socket) getString(name string) (string, error) {
	s, err := soc.opened()
	if err != nil {
		return "", err
	}
	v, err := s.Option(name)
	return v, errnoOf(err, einval)
}

func (soc *Socket) getInt64(name string) (int64, error) {
	v, err := soc.getString(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, einval
	}
	return n, nil
}

func (soc *Socket) getInt(name string) (int, error) {
	n, err := soc.getInt64(name)
	return int(n), err
}

func (soc *Socket) getBool(name string) (bool, error) {
	n, err := soc.getInt64(name)
	return n != 0, err
}

func (soc *Socket) getDuration(name string) (time.Duration, error) {
	n, err := soc.getInt64(name)
	if n < 0 {
		return -1, err
	}
	return time.Duration(n) * time.Millisecond, err
}

// unknown is the result of options of mechanisms and transports that there are
// none of.
func (soc *Socket) unknown() error {
	if _, err := soc.opened(); err != nil {
		return err
	}
	return einval
}

// noKey is the text of a CURVE key that is not set: 32 zero octets.
const noKey = "0000000000000000000000000000000000000000"

// getKey returns a CURVE key in Z85.
func (soc *Socket) getKey(name string) (string, error) {
	k, err := soc.getString(name)
	if err == nil && k == "" {
		k = noKey
	}
	return k, err
}

// raw decodes a key of getKey.
func raw(key string, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return Z85decode(key), nil
}

// setSecret sets an option that a zmq.Socket does not return, and keeps it.
func (soc *Socket) setSecret(name, value, kept string) error {
	if err := soc.set(name, value); err != nil {
		return err
	}
	s := soc.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.secrets == nil {
		s.secrets = make(map[string]string)
	}
	s.secrets[name] = kept
	return nil
}

func (soc *Socket) getSecret(name, unset string) (string, error) {
	s, err := soc.opened()
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.secrets[name]; ok {
		return v, nil
	}
	return unset, nil
}

// SetCurveSecretkey sets the secret key, 40 characters of Z85 or 32 octets.
func (soc *Socket) SetCurveSecretkey(key string) error {
	text := key
	if len(key) == keyOctets {
		text = Z85encode(key)
	}
	return soc.setSecret("curve_secretkey", key, text)
}

// GetCurveSecretkeyZ85 returns the secret key in Z85.
func (soc *Socket) GetCurveSecretkeyZ85() (string, error) {
	return soc.getSecret("curve_secretkey", noKey)
}

// GetCurveSecretkeyRaw returns the secret key as 32 octets.
func (soc *Socket) GetCurveSecretkeyRaw() (string, error) { return raw(soc.GetCurveSecretkeyZ85()) }

// SetPlainUsername makes the socket a PLAIN client and sets its user name. An
// empty name ends PLAIN.
func (soc *Socket) SetPlainUsername(username string) error {
	if username == "" {
		return soc.set("plain_server", "0")
	}
	return soc.set("plain_username", username)
}

// SetPlainPassword makes the socket a PLAIN client and sets its password. An
// empty password ends PLAIN.
func (soc *Socket) SetPlainPassword(password string) error {
	if password == "" {
		return soc.set("plain_server", "0")
	}
	return soc.setSecret("plain_password", password, password)
}

// GetPlainPassword returns the password of a PLAIN client.
func (soc *Socket) GetPlainPassword() (string, error) { return soc.getSecret("plain_password", "") }

// SetAffinity sets a mask of I/O threads. It has no effect: there are none.
func (soc *Socket) SetAffinity(value uint64) error {
	s, err := soc.opened()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.affinity = value
	return nil
}

// GetAffinity returns what SetAffinity has set.
func (soc *Socket) GetAffinity() (uint64, error) {
	s, err := soc.opened()
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.affinity, nil
}

// SetMaxmsgsize sets the largest message part that is received, in octets; -1 is
// no limit. A peer that exceeds it is disconnected.
func (soc *Socket) SetMaxmsgsize(value int64) error {
	return soc.set("maxmsgsize", strconv.FormatInt(value, 10))
}

// GetMaxmsgsize returns what SetMaxmsgsize has set, -1 by default.
func (soc *Socket) GetMaxmsgsize() (int64, error) { return soc.getInt64("maxmsgsize") }

// SetSndtimeo sets how long Send waits before it returns EAGAIN; -1 is without
// limit.
func (soc *Socket) SetSndtimeo(value time.Duration) error {
	if err := soc.setDuration("sndtimeo", value); err != nil {
		return err
	}
	soc.s.sndtimeo.Store(int64(millis(value)))
	return nil
}

// SetRouterMandatory sets whether a message for an unknown peer is refused with
// EHOSTUNREACH: 0 or 1.
func (soc *Socket) SetRouterMandatory(value int) error {
	if err := soc.setFlag("router_mandatory", value); err != nil {
		return err
	}
	soc.s.mandatory.Store(value > 0)
	return nil
}

// SetReqRelaxed sets whether a second request may be sent without a reply to the
// first: 0 or 1.
func (soc *Socket) SetReqRelaxed(value int) error {
	if err := soc.setFlag("req_relaxed", value); err != nil {
		return err
	}
	soc.s.relaxed.Store(value > 0)
	return nil
}

// GetType returns the type of the socket.
func (soc *Socket) GetType() (Type, error) {
	s, err := soc.opened()
	if err != nil {
		return 0, err
	}
	return s.typ, nil
}

// GetRcvmore reports whether the message that is being received has more parts.
func (soc *Socket) GetRcvmore() (bool, error) {
	s, err := soc.opened()
	if err != nil {
		return false, err
	}
	return s.more.Load(), nil
}

// GetEvents returns what the socket can do without waiting.
func (soc *Socket) GetEvents() (State, error) {
	s, err := soc.opened()
	switch {
	case err != nil:
		return 0, err
	case s.group.isTerminated():
		return 0, ETERM
	}
	return s.state(POLLIN | POLLOUT), nil
}

// GetMechanism returns the security mechanism.
func (soc *Socket) GetMechanism() (Mechanism, error) {
	name, err := soc.getString("mechanism")
	if err != nil {
		return 0, err
	}
	for m, n := range mechanismNames {
		if n == name {
			return Mechanism(m), nil
		}
	}
	return 0, einval
}

// GetThreadSafe returns true for the draft types except DGRAM, as libzmq does.
func (soc *Socket) GetThreadSafe() (bool, error) {
	s, err := soc.opened()
	return err == nil && s.typ.threadSafe(), err
}
