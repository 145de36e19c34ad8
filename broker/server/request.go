package server

import (
	"math"

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

// Retain keeps the request's bytes until Release.
func (r *Request) Retain() { r.frame.users.Add(1) }

// Release lets go of the request's bytes.
func (r *Request) Release() { r.frame.release() }

// Size is how much memory Retain keeps: all there is, if others wait for the overdraft that it has.
func (r *Request) Size() int {
	if r.frame.overdrawn {
		return math.MaxInt
	}
	return max(int(r.frame.cost), cap(r.frame.b))
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
