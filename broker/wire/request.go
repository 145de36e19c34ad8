package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Header is a request's header.
type Header struct {
	Key           int16
	Version       int16
	CorrelationID int32
	ClientID      *string // nil: null
}

const clientIDMax = 32 << 10

var errHeader = errors.New("malformed request header")

// ParseHeader reads the header of a frame (without its length) and gives the rest.
func ParseHeader(frame []byte) (Header, []byte, error) {
	if len(frame) < 10 {
		return Header{}, nil, errHeader
	}
	be := binary.BigEndian
	h := Header{Key: int16(be.Uint16(frame)), Version: int16(be.Uint16(frame[2:])), CorrelationID: int32(be.Uint32(frame[4:]))}
	n := int(int16(be.Uint16(frame[8:])))
	rest := frame[10:]
	if n < -1 || n > len(rest) || n > clientIDMax {
		return h, nil, errHeader
	}
	if n >= 0 {
		id := string(rest[:n])
		h.ClientID, rest = &id, rest[n:]
	}
	l := layouts()[h.Key]
	if l == nil || h.Version < l.flexible || h.Version > l.newest {
		return h, rest, nil // of what is not known, the layout is not known either
	}
	w := walker{b: rest, flexible: true}
	if w.tags(nil); w.bad != "" {
		return h, nil, errHeader
	}
	return h, w.b, nil
}

// ParseBody decodes a body that the guard lets through.
func ParseBody(h Header, body []byte) (kmsg.Request, error) {
	if _, err := Check(h.Key, h.Version, body); err != nil {
		return nil, err
	}
	return Decode(h, body)
}

// Decode decodes a body that Check let through. Byte fields, records above all, are slices of it: the frame must live as long
// as they are used.
func Decode(h Header, body []byte) (kmsg.Request, error) {
	req := kmsg.RequestForKey(h.Key)
	req.SetVersion(h.Version)
	if err := req.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("malformed %s request of version %d: %w", kmsg.NameForKey(h.Key), h.Version, err)
	}
	return req, nil
}

// AppendResponse adds a response as a frame.
func AppendResponse(dst []byte, correlationID int32, resp kmsg.Response) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(correlationID))
	if resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions) {
		dst = append(dst, 0)
	}
	dst = resp.AppendTo(dst)
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}
