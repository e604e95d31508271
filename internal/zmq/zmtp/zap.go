package zmtp

const zapVersion = "1.0"

// zapRequestID numbers the one request of a connection.
const zapRequestID = "1"

// ZAPRequest is the request to a handler about one peer (RFC 27).
type ZAPRequest struct {
	RequestID   string // libzmq sends "1"
	Domain      string
	Address     string // of the peer, without its port
	Identity    []byte // libzmq sends the server's own, not the peer's
	Mechanism   string
	Credentials [][]byte
}

// Frames returns the request as a REP handler receives it. A DEALER must send
// an empty frame before it. An empty RequestID stands for "1".
func (r ZAPRequest) Frames() [][]byte {
	id := r.RequestID
	if id == "" {
		id = zapRequestID
	}
	frames := [][]byte{
		[]byte(zapVersion), []byte(id), []byte(r.Domain), []byte(r.Address), r.Identity, []byte(r.Mechanism),
	}
	return append(frames, r.Credentials...)
}

// ZAPReply is the reply of a handler.
type ZAPReply struct {
	RequestID string // empty stands for "1"
	Status    int    // 200, 300, 400 or 500
	Text      string
	UserID    string
	Metadata  Metadata // of every message of the peer
}

// Frames returns the message that carries the reply, without the empty frame of
// its envelope.
func (r ZAPReply) Frames() [][]byte {
	id := r.RequestID
	if id == "" {
		id = zapRequestID
	}
	status := "500"
	switch r.Status {
	case StatusOK:
		status = "200"
	case StatusRetry:
		status = "300"
	case StatusDenied:
		status = "400"
	}
	return [][]byte{
		[]byte(zapVersion), []byte(id), []byte(status), []byte(r.Text), []byte(r.UserID), r.Metadata.append(nil),
	}
}

// ParseZAPReply reads the message of a reply to request id, "1" when empty,
// without the empty frame of its envelope. The result keeps no reference to the
// frames. An *Error has one of the CodeZAP codes.
func ParseZAPReply(frames [][]byte, id string) (ZAPReply, error) {
	if id == "" {
		id = zapRequestID
	}
	if len(frames) != 6 {
		return ZAPReply{}, errorf(CodeZAPMalformed, "ZAP reply of %d frames, expected 6", len(frames))
	}
	if string(frames[0]) != zapVersion {
		return ZAPReply{}, errorf(CodeZAPVersion, "ZAP reply of version %.20q, expected %q", frames[0], zapVersion)
	}
	if string(frames[1]) != id {
		return ZAPReply{}, errorf(CodeZAPRequestID, "ZAP reply to request %.20q, expected %q", frames[1], id)
	}
	r := ZAPReply{RequestID: id, Text: string(frames[3]), UserID: string(frames[4])}
	switch string(frames[2]) {
	case "200":
		r.Status = StatusOK
	case "300":
		r.Status = StatusRetry
	case "400":
		r.Status = StatusDenied
	case "500":
		r.Status = StatusInternal
	default:
		return ZAPReply{}, errorf(CodeZAPStatus, "ZAP reply with status %.20q, expected 200, 300, 400 or 500", frames[2])
	}
	m, err := ParseMetadata(frames[5])
	if err != nil {
		return ZAPReply{}, errorf(CodeZAPMetadata, "ZAP reply: %v", err)
	}
	r.Metadata = m
	return r, nil
}
