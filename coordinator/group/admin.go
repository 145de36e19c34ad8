package group

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const groupType = "classic"

// What a client may do with a group, as bits of Kafka's AclOperation: everything, since there is no authorizer.
const (
	groupOperations = 0b1101_0100_1000 // read, delete, describe, describe and alter configs
	// noAuthorizedOperations says that they were not asked for.
	noAuthorizedOperations = -2147483648
)

// describe handles DescribeGroups 0–6.
func (t *turn) describe(req *kmsg.DescribeGroupsRequest) *kmsg.DescribeGroupsResponse {
	resp := req.ResponseKind().(*kmsg.DescribeGroupsResponse)
	for _, id := range req.Groups {
		out := kmsg.NewDescribeGroupsResponseGroup()
		out.Group, out.AuthorizedOperations = id, noAuthorizedOperations
		if req.IncludeAuthorizedOperations {
			out.AuthorizedOperations = groupOperations
		}
		g := t.groups[id]
		if g == nil {
			out.State = "Dead"
			if req.Version >= 6 {
				out.ErrorCode = kerr.GroupIDNotFound.Code
				out.ErrorMessage = kmsg.StringPtr("Group " + id + " not found.")
				out.AuthorizedOperations = noAuthorizedOperations
			}
			resp.Groups = append(resp.Groups, out)
			continue
		}
		out.State, out.ProtocolType = g.state.String(), g.protocolType
		if g.state == Stable {
			out.Protocol = g.protocol
		}
		for _, m := range g.each() {
			e := kmsg.NewDescribeGroupsResponseGroupMember()
			e.MemberID, e.InstanceID, e.ClientID, e.ClientHost = m.id, m.instance, m.clientID, m.clientHost
			e.MemberAssignment = slices.Clone(m.assignment)
			if g.state == Stable {
				e.ProtocolMetadata = m.metadata(g.protocol)
			}
			out.Members = append(out.Members, e)
		}
		resp.Groups = append(resp.Groups, out)
	}
	return resp
}

// list handles ListGroups 0–5.
func (t *turn) list(req *kmsg.ListGroupsRequest) *kmsg.ListGroupsResponse {
	resp := req.ResponseKind().(*kmsg.ListGroupsResponse)
	wanted := func(filter []string, value string) bool {
		return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, value) })
	}
	for _, g := range t.sorted() {
		if !wanted(req.StatesFilter, g.state.String()) || !wanted(req.TypesFilter, groupType) {
			continue
		}
		out := kmsg.NewListGroupsResponseGroup()
		out.Group, out.ProtocolType, out.GroupState, out.GroupType = g.id, g.protocolType, g.state.String(), groupType
		resp.Groups = append(resp.Groups, out)
	}
	return resp
}

// deleteGroups handles DeleteGroups 0–3.
func (t *turn) deleteGroups(req *kmsg.DeleteGroupsRequest) *kmsg.DeleteGroupsResponse {
	resp := req.ResponseKind().(*kmsg.DeleteGroupsResponse)
	for _, id := range req.Groups {
		out := kmsg.NewDeleteGroupsResponseGroup()
		out.Group = id
		switch g := t.groups[id]; {
		case g == nil:
			out.ErrorCode, out.ErrorMessage = kerr.GroupIDNotFound.Code, kmsg.StringPtr("Group "+id+" not found.")
		case g.state != Empty:
			out.ErrorCode, out.ErrorMessage = kerr.NonEmptyGroup.Code, kmsg.StringPtr("The group is not empty.")
		default:
			for _, tp := range g.sortedOffsets() {
				t.effects.Records = append(t.effects.Records, offsetTombstone(id, tp))
			}
			t.effects.Records = append(t.effects.Records, groupTombstone(id))
		}
		resp.Groups = append(resp.Groups, out)
	}
	return resp
}
