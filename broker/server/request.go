package server

import (
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/wire"
	"github.com/weir/weir/log"
)

// Request is a request on its way. It must be ended by exactly one of Reply, ReplyFetch, NoReply and Close.
type Request struct {
	wire.Header
	Body kmsg.Request
	Conn *Conn

	frame    *frame
	out      response
	answered bool // out is set; under the connection's output lock
	moments  moments
}

// response is what the writer sends.
type response struct {
	bytes []byte
	cuts  []int      // where data belongs in bytes
	data  []log.Data // one for each cut
	close bool       // close the connection instead
}

// frame is a request's bytes, shared by those who still use them.
type frame struct {
	b      []byte
	cost   int64 // taken from the memory budget
	class  int   // of the pool; -1: none
	users  atomic.Int32
	server *Server
}

// Retain keeps the request's bytes until Release.
func (r *Request) Retain() { r.frame.users.Add(1) }

// Release lets go of the request's bytes.
func (r *Request) Release() { r.frame.release() }

func (f *frame) release() {
	switch n := f.users.Add(-1); {
	case n == 0:
		f.server.inUse.Add(-f.cost)
		f.server.memory.Release(f.cost)
		putBuffer(f.b, f.class)
		f.b = nil
	case n < 0:
		panic("BUG: a request's bytes were released twice")
	}
}

// Done is closed when the client is gone or the server stops: what waits for something should answer now.
func (r *Request) Done() <-chan struct{} { return r.Conn.stop }

// smallAnswer is room for most answers.
const smallAnswer = 256

// Reply answers.
func (r *Request) Reply(resp kmsg.Response) {
	r.Conn.server.stats.of(r.Key).answer(resp)
	r.Conn.finish(r, response{bytes: wire.AppendResponse(make([]byte, 0, smallAnswer), r.CorrelationID, resp)}, false)
}

// ReplyFetch answers a fetch. data are the records of its partitions, in order; they are released when they were sent. It may
// wait until the client has taken them.
func (r *Request) ReplyFetch(f *wire.FetchResponse, data []log.Data) {
	r.Conn.server.stats.of(r.Key).answer(f)
	bytes, cuts := wire.AppendFetch(nil, r.CorrelationID, r.Version, f)
	r.Conn.finish(r, response{bytes: bytes, cuts: cuts, data: data}, true)
}

// NoReply ends a request that has no answer.
func (r *Request) NoReply() { r.Conn.finish(r, response{}, false) }

// Close ends a request by closing its connection.
func (r *Request) Close() { r.Conn.finish(r, response{close: true}, false) }

func (o *response) releaseData() {
	for i := range o.data {
		o.data[i].Release()
	}
}

// Frame buffers are reused by size: powers of two from 4 KiB to 16 MiB: clients put what they have for several
// partitions into one request.
const (
	smallestClass = 12
	largestClass  = 24
)

var pools [largestClass - smallestClass + 1]sync.Pool

// classOf gives the pool for buffers of n bytes; -1: none.
func classOf(n int) int {
	for c := smallestClass; c <= largestClass; c++ {
		if n <= 1<<c {
			return c - smallestClass
		}
	}
	return -1
}

// usedBuffer gives a buffer of n bytes, and its class, if there is one that was used before; else nil.
func usedBuffer(n int) ([]byte, int) {
	class := classOf(n)
	if class >= 0 {
		if b, ok := pools[class].Get().(*[]byte); ok {
			return (*b)[:n], class
		}
	}
	return nil, class
}

// getBuffer gives a buffer of n bytes, and its class.
func getBuffer(n int) ([]byte, int) {
	b, class := usedBuffer(n)
	switch {
	case b != nil:
	case class >= 0:
		b = make([]byte, n, 1<<(class+smallestClass))
	default:
		b = make([]byte, n)
	}
	return b, class
}

func putBuffer(b []byte, class int) {
	if class >= 0 {
		b = b[:cap(b)]
		pools[class].Put(&b)
	}
}
