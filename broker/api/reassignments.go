package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/cluster"
)

// alterPartitionAssignments answers AlterPartitionReassignments 0–1. The answer comes when the reassignments have begun;
// ListPartitionReassignments tells when they have ended.
func (b *Broker) alterPartitionAssignments(r *server.Request, req *kmsg.AlterPartitionAssignmentsRequest) {
	b.Controller.Submit(cluster.Request{Body: req}, func(reply any, err error) {
		if err == nil {
			r.Reply(reply.(*kmsg.AlterPartitionAssignmentsResponse))
			return
		}
		resp := req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
		resp.AllowReplicationFactorChange = req.AllowReplicationFactorChange
		ke := controllerError(err)
		resp.ErrorCode, resp.ErrorMessage = ke.Code, described(ke)
		r.Reply(resp)
	})
}

// listPartitionReassignments answers ListPartitionReassignments 0.
func (b *Broker) listPartitionReassignments(r *server.Request, req *kmsg.ListPartitionReassignmentsRequest) {
	r.Reply(b.Controller.Image().Reassignments(req))
}
