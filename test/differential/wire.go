package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// patience is how long an answer may take.
const patience = 15 * time.Second

// header is what stands before a request's body.
type header struct {
	key, version int16
	correlation  int32
	client       *string
	flexible     bool
	tags         []byte // nil: none
}

// frame puts a header and a body together.
func (h header) frame(body []byte) []byte {
	b := binary.BigEndian.AppendUint16(make([]byte, 4, 64+len(body)), uint16(h.key))
	b = binary.BigEndian.AppendUint16(b, uint16(h.version))
	b = binary.BigEndian.AppendUint32(b, uint32(h.correlation))
	if h.client == nil {
		b = append(b, 0xff, 0xff)
	} else {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(*h.client))), *h.client...)
	}
	switch {
	case h.flexible && h.tags == nil:
		b = append(b, 0)
	case h.flexible:
		b = append(b, h.tags...)
	}
	b = append(b, body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

var clientID = "differential"

// frameOf is a request as a client sends it.
func frameOf(req kmsg.Request, correlation int32) []byte {
	return header{req.Key(), req.GetVersion(), correlation, &clientID, req.IsFlexible(), nil}.frame(req.AppendTo(nil))
}

// probe is asked after what may have no answer; its own answer tells that there is none.
const probe = 0x70726f62

func probeFrame() []byte { return header{key: 18, version: 0, correlation: probe}.frame(nil) }

// What becomes of a request, and of its connection.
const (
	answered = "is answered"
	silent   = "is not answered, the connection stays"
	closed   = "closes the connection"
	hangs    = "is not answered in time"
	garbled  = "is answered with bytes that cannot be read"
)

// outcome is what became of a request.
type outcome struct {
	fate string
	body []byte // after the correlation id
	resp kmsg.Response
	err  error
}

// readFrame reads one frame and its correlation id.
func readFrame(c net.Conn) (correlation int32, body []byte, err error) {
	var size [8]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return 0, nil, err
	}
	n := int(int32(binary.BigEndian.Uint32(size[:])))
	if n < 4 || n > 200<<20 {
		return 0, nil, fmt.Errorf("an answer of %d bytes", n)
	}
	body = make([]byte, n-4)
	_, err = io.ReadFull(c, body)
	return int32(binary.BigEndian.Uint32(size[4:])), body, err
}

// await reads what comes of a request. probed: a probe was sent behind it, and its answer is read, too.
func await(c net.Conn, correlation int32, probed bool) outcome {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	got, body, err := readFrame(c)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return outcome{fate: hangs}
	case err != nil:
		return outcome{fate: closed}
	case probed && got == probe:
		return outcome{fate: silent}
	case got != correlation:
		return outcome{fate: garbled, body: body, err: fmt.Errorf("correlation id %d instead of %d", got, correlation)}
	}
	if probed {
		if after, _, err := readFrame(c); err != nil {
			return outcome{fate: answered + ", then the connection is closed", body: body}
		} else if after != probe {
			return outcome{fate: garbled, err: fmt.Errorf("the answer %d came instead of the probe's", after)}
		}
	}
	return outcome{fate: answered, body: body}
}

// decode reads the answer to a request.
func (o *outcome) decode(req kmsg.Request) {
	if o.body == nil || o.fate == garbled {
		return
	}
	resp, body := req.ResponseKind(), o.body
	if req.Key() == 18 && len(body) > 1 && body[0] == 0 && body[1] == 35 {
		resp.SetVersion(0)
	} else if resp.IsFlexible() && req.Key() != 18 {
		if len(body) == 0 || body[0] != 0 {
			o.fate, o.err = garbled, fmt.Errorf("no header: %x", body)
			return
		}
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		o.fate, o.err = garbled, fmt.Errorf("%w: %x", err, body)
		return
	}
	o.resp = resp
	if again := resp.AppendTo(nil); string(again) != string(body) {
		o.fate = garbled
		o.err = fmt.Errorf("encoded anew it is %x, not %x", again, body)
	}
}
