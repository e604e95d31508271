package zmq4

import (
	"strings"

	"lintel.dev/zmq"
)

// keyOctets and keyChars are the sizes of a CURVE key and of its text.
const (
	keyOctets = 32
	keyChars  = 40
)

// NewCurveKeypair returns a new key pair of CURVE in Z85.
func NewCurveKeypair() (z85_public_key, z85_secret_key string, err error) {
	secret := zmq.NewSecretKey()
	return secret.Public().String(), secret.Text(), nil
}

// AuthCurvePublic returns the public key of a secret key, both in Z85.
func AuthCurvePublic(z85SecretKey string) (z85PublicKey string, err error) {
	if len(z85SecretKey) != keyChars {
		return "", einval
	}
	secret, err := zmq.ParseSecretKey(z85SecretKey)
	if err != nil {
		return "", einval
	}
	return secret.Public().String(), nil
}

// z85 is the alphabet of Z85 (RFC 32).
const z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

// Z85encode encodes octets in Z85. It panics if their number is not a multiple
// of 4.
func Z85encode(data string) string {
	if len(data)%4 != 0 {
		panic("Z85encode: Length of data not a multiple of 4")
	}
	text := make([]byte, 0, len(data)/4*5)
	for ; data != ""; data = data[4:] {
		n := uint32(data[0])<<24 | uint32(data[1])<<16 | uint32(data[2])<<8 | uint32(data[3])
		text = append(text, z85[n/(85*85*85*85)], z85[n/(85*85*85)%85], z85[n/(85*85)%85], z85[n/85%85], z85[n%85])
	}
	return string(text)
}

// Z85decode decodes Z85. It panics if the length is not a multiple of 5. The
// result of a text that is not Z85 is undefined.
func Z85decode(s string) string {
	if len(s)%5 != 0 {
		panic("Z85decode: Length of Z85 string not a multiple of 5")
	}
	data := make([]byte, 0, len(s)/5*4)
	for ; s != ""; s = s[5:] {
		var n uint32
		for i := range 5 {
			n = n*85 + uint32(max(strings.IndexByte(z85, s[i]), 0))
		}
		data = append(data, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return string(data)
}

// ServerAuthNull makes the socket a server of NULL in a ZAP domain.
func (server *Socket) ServerAuthNull(domain string) error {
	return first(server.SetPlainServer(0), func() error { return server.SetZapDomain(domain) })
}

// ServerAuthPlain makes the socket a server of PLAIN in a ZAP domain.
func (server *Socket) ServerAuthPlain(domain string) error {
	return first(server.SetPlainServer(1), func() error { return server.SetZapDomain(domain) })
}

// ServerAuthCurve makes the socket a server of CURVE in a ZAP domain.
func (server *Socket) ServerAuthCurve(domain, secret_key string) error {
	return first(server.SetCurveServer(1),
		func() error { return server.SetCurveSecretkey(secret_key) },
		func() error { return server.SetZapDomain(domain) })
}

// ClientAuthPlain makes the socket a client of PLAIN.
func (client *Socket) ClientAuthPlain(username, password string) error {
	return first(client.SetPlainUsername(username), func() error { return client.SetPlainPassword(password) })
}

// ClientAuthCurve makes the socket a client of CURVE.
func (client *Socket) ClientAuthCurve(server_public_key, client_public_key, client_secret_key string) error {
	return first(client.SetCurveServerkey(server_public_key),
		func() error { return client.SetCurvePublickey(client_public_key) },
		func() error { return client.SetCurveSecretkey(client_secret_key) })
}

// first returns err, or the error of the first step that fails.
func first(err error, steps ...func() error) error {
	for _, step := range steps {
		if err != nil {
			return err
		}
		err = step()
	}
	return err
}
