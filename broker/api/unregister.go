package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/cluster"
)

// unregisterBroker answers UnregisterBroker 0. A broker that still runs registers again when it next starts.
func (b *Broker) unregisterBroker(r *server.Request, req *kmsg.UnregisterBrokerRequest) {
	b.Controller.Submit(cluster.Request{Body: req}, func(reply any, err error) {
		if err == nil {
			r.Reply(reply.(*kmsg.UnregisterBrokerResponse))
			return
		}
		resp := req.ResponseKind().(*kmsg.UnregisterBrokerResponse)
		ke := controllerError(err)
		resp.ErrorCode, resp.ErrorMessage = ke.Code, described(ke)
		r.Reply(resp)
	})
}
