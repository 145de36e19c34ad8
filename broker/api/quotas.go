package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
)

// describeClientQuotas answers DescribeClientQuotas 0–1: there are no quotas, and none can be set.
func (b *Broker) describeClientQuotas(r *server.Request, req *kmsg.DescribeClientQuotasRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeClientQuotasResponse)
	resp.ErrorMessage, resp.Entries = kmsg.StringPtr(""), []kmsg.DescribeClientQuotasResponseEntry{}
	if ke, text := checkQuotaFilter(req.Components); ke != nil {
		resp.ErrorCode, resp.ErrorMessage, resp.Entries = ke.Code, &text, nil
	}
	r.Reply(resp)
}

// checkQuotaFilter tells in Kafka's words what is wrong with a filter; nil: nothing.
func checkQuotaFilter(components []kmsg.DescribeClientQuotasRequestComponent) (*kerr.Error, string) {
	seen := map[string]bool{}
	for _, c := range components {
		switch c.EntityType {
		case "":
			return kerr.InvalidRequest, "Invalid empty entity type."
		case "user", "client-id", "ip":
		default:
			return kerr.UnsupportedVersion, "Unsupported entity type " + c.EntityType
		}
		if seen[c.EntityType] {
			return kerr.InvalidRequest, fmt.Sprintf("Entity type %s cannot appear more than once in the filter.", c.EntityType)
		}
		seen[c.EntityType] = true
		switch {
		case c.MatchType < kmsg.QuotasMatchTypeExact || c.MatchType > kmsg.QuotasMatchTypeAny:
			return kerr.InvalidRequest, fmt.Sprintf("Unknown match type %d", c.MatchType)
		case c.MatchType == kmsg.QuotasMatchTypeExact && c.Match == nil:
			return kerr.InvalidRequest, "Request specified MATCH_TYPE_EXACT, but set match string to null."
		}
	}
	if seen["ip"] && len(seen) > 1 {
		return kerr.InvalidRequest, "Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component."
	}
	return nil, ""
}

// describeUserSCRAMCredentials answers DescribeUserScramCredentials 0: no user has any, since there is no SASL.
func (b *Broker) describeUserSCRAMCredentials(r *server.Request, req *kmsg.DescribeUserSCRAMCredentialsRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeUserSCRAMCredentialsResponse)
	resp.ErrorMessage = kmsg.StringPtr("")
	times := map[string]int{}
	for _, u := range req.Users {
		times[u.Name]++
	}
	for _, u := range req.Users {
		out := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
		out.User = u.Name
		switch n := times[u.Name]; {
		case n == 0: // it was answered
			continue
		case n > 1:
			out.ErrorCode = kerr.DuplicateResource.Code
			out.ErrorMessage = kmsg.StringPtr("Cannot describe SCRAM credentials for the same user twice in a single request: " + u.Name)
		default:
			out.ErrorCode = kerr.ResourceNotFound.Code
			out.ErrorMessage = kmsg.StringPtr("Attempt to describe a user credential that does not exist: " + u.Name)
		}
		times[u.Name] = 0
		resp.Results = append(resp.Results, out)
	}
	r.Reply(resp)
}
