package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/cluster"
)

// addRaftVoter answers AddRaftVoter 0–1. Where the voter is reached is known since it registered, so the request's listeners
// are not looked at.
func (b *Broker) addRaftVoter(r *server.Request, req *kmsg.AddRaftVoterRequest) {
	resp := req.ResponseKind().(*kmsg.AddRaftVoterResponse)
	b.changeVoters(req, req.ClusterID, func(reply any, ke *kerr.Error, text *string) {
		if ke == nil {
			resp = reply.(*kmsg.AddRaftVoterResponse)
		} else {
			resp.ErrorCode, resp.ErrorMessage = ke.Code, text
		}
		r.Reply(resp)
	})
}

// removeRaftVoter answers RemoveRaftVoter 0.
func (b *Broker) removeRaftVoter(r *server.Request, req *kmsg.RemoveRaftVoterRequest) {
	resp := req.ResponseKind().(*kmsg.RemoveRaftVoterResponse)
	b.changeVoters(req, req.ClusterID, func(reply any, ke *kerr.Error, text *string) {
		if ke == nil {
			resp = reply.(*kmsg.RemoveRaftVoterResponse)
		} else {
			resp.ErrorCode, resp.ErrorMessage = ke.Code, text
		}
		r.Reply(resp)
	})
}

// changeVoters asks the controller for other voters, if this is the cluster that is meant.
func (b *Broker) changeVoters(req kmsg.Request, clusterID *string, done func(reply any, ke *kerr.Error, text *string)) {
	if clusterID != nil && *clusterID != b.ClusterID {
		text := fmt.Sprintf("The given id %q doesn't match the cluster id %q", *clusterID, b.ClusterID)
		done(nil, kerr.InconsistentClusterID, &text)
		return
	}
	b.Controller.Submit(cluster.Request{Body: req}, func(reply any, err error) {
		if err != nil {
			ke := controllerError(err)
			done(nil, ke, described(ke))
			return
		}
		done(reply, nil, nil)
	})
}
