package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
)

// initProducerID answers InitProducerId 0–5 for idempotent producers: a fresh id with epoch 0. Transactions are not there:
// a transactional id is refused with INVALID_REQUEST, which no client tries again.
func (b *Broker) initProducerID(r *server.Request, req *kmsg.InitProducerIDRequest) {
	resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	if req.TransactionalID != nil || (req.ProducerID == -1) != (req.ProducerEpoch == -1) {
		resp.ErrorCode = kerr.InvalidRequest.Code
		r.Reply(resp)
		return
	}
	b.Controller.ProducerID(func(id int64, err error) {
		if err != nil {
			resp.ErrorCode = kerr.CoordinatorLoadInProgress.Code // what clients of InitProducerId try again
		} else {
			resp.ProducerID, resp.ProducerEpoch = id, 0
		}
		r.Reply(resp)
	})
}
