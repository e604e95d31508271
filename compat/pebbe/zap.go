package zmq4

import (
	"errors"
	"maps"
	"slices"
)

// zapServer answers ZAP requests (RFC 27) of the default context.
type zapServer struct {
	soc  *Socket
	done chan struct{} // closed when it has ended
}

const (
	zapEndpoint = "inproc://zeromq.zap.01"
	zapVersion  = "1.0"
)

// AuthStart starts a ZAP handler that decides about the peers of the sockets of
// the default context, by the rules of AuthAllow, AuthDeny, AuthPlainAdd and
// AuthCurveAdd. Without rules it lets in all peers of NULL, and no others.
func AuthStart() (err error) {
	auth.mu.Lock()
	defer auth.mu.Unlock()
	if auth.server != nil {
		return errors.New("zmq4: AuthStart was called before, without AuthStop")
	}
	soc, err := NewSocket(REP)
	if err != nil {
		return err
	}
	if err := first(soc.SetLinger(0), func() error { return soc.Bind(zapEndpoint) }); err != nil {
		_ = soc.Close()
		return err
	}
	z := &zapServer{soc, make(chan struct{})}
	auth.server = z
	go z.serve()
	return nil
}

// AuthStop ends what AuthStart started.
func AuthStop() {
	auth.mu.Lock()
	z := auth.server
	auth.server = nil
	auth.mu.Unlock()
	if z == nil {
		return
	}
	_ = z.soc.Close()
	<-z.done
}

// serve answers requests until the socket is closed or its context terminated.
func (z *zapServer) serve() {
	defer close(z.done)
	defer z.soc.Close()
	for {
		request, err := z.soc.RecvMessage(0)
		if err != nil {
			return
		}
		if _, err := z.soc.SendMessage(auth.reply(request)); err != nil {
			return
		}
	}
}

// reply answers a request. A malformed one is refused.
func (a *authenticator) reply(request []string) []string {
	const fixed = 6 // frames before the credentials
	if len(request) < fixed || request[0] != zapVersion {
		id := ""
		if len(request) > 1 {
			id = request[1]
		}
		return []string{zapVersion, id, "500", "Malformed request", "", ""}
	}
	id, domain, address, identity, mechanism := request[1], request[2], request[3], request[4], request[5]
	credentials := request[fixed:]
	shown := credentials
	if mechanism == "CURVE" && len(credentials) == 1 && len(credentials[0]) == keyOctets {
		credentials = []string{Z85encode(credentials[0])}
	}
	a.mu.Lock()
	ok := a.admits(domain, address, mechanism, credentials)
	handler := a.metadata
	a.mu.Unlock()
	if !ok {
		return []string{zapVersion, id, "400", "NO ACCESS", "", ""}
	}
	user, metadata := "", []byte(nil)
	if handler != nil {
		properties := handler(zapVersion, id, domain, address, identity, mechanism, shown...)
		user = properties["User-Id"]
		for _, key := range slices.Sorted(maps.Keys(properties)) {
			if blob, err := AuthMetaBlob(key, properties[key]); err == nil && key != "User-Id" {
				metadata = append(metadata, blob...)
			}
		}
	}
	return []string{zapVersion, id, "200", "OK", user, string(metadata)}
}
