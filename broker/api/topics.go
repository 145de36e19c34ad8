package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/cluster"
)

// createTopics answers CreateTopics 2–7. The answer waits until the new partitions are led, so that the next request
// finds them.
func (b *Broker) createTopics(r *server.Request, req *kmsg.CreateTopicsRequest) {
	b.Controller.Submit(cluster.Request{Body: req}, func(reply any, err error) {
		if err != nil {
			resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
			for _, t := range req.Topics {
				out := kmsg.NewCreateTopicsResponseTopic()
				out.Topic, out.ErrorCode = t.Topic, controllerError(err).Code
				out.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
				resp.Topics = append(resp.Topics, out)
			}
			r.Reply(resp)
			return
		}
		resp := reply.(*kmsg.CreateTopicsResponse)
		made := map[string]int{}
		for i := range resp.Topics {
			t := &resp.Topics[i]
			if t.ErrorCode != 0 {
				continue
			}
			t.Configs = b.createdConfigs(req, t.Topic)
			if !req.ValidateOnly {
				made[t.Topic] = int(t.NumPartitions)
			}
		}
		b.whenLed(made, func() { r.Reply(resp) })
	})
}

// createdConfigs gives the configuration in effect of a topic that was created as asked for.
func (b *Broker) createdConfigs(req *kmsg.CreateTopicsRequest, topic string) []kmsg.CreateTopicsResponseTopicConfig {
	set := map[string]string{}
	for _, t := range req.Topics {
		if t.Topic == topic {
			for _, c := range t.Configs {
				if c.Value != nil {
					set[c.Name] = *c.Value
				}
			}
		}
	}
	var out []kmsg.CreateTopicsResponseTopicConfig
	for _, e := range b.topicEntries(set) {
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		c.Name, c.Value, c.ReadOnly, c.Source, c.IsSensitive = e.Name, e.Value, e.ReadOnly, int8(e.Source), e.Sensitive
		out = append(out, c)
	}
	return out
}

// deleteTopics answers DeleteTopics 1–6.
func (b *Broker) deleteTopics(r *server.Request, req *kmsg.DeleteTopicsRequest) {
	b.Controller.Submit(cluster.Request{Body: req}, func(reply any, err error) {
		if err == nil {
			r.Reply(reply.(*kmsg.DeleteTopicsResponse))
			return
		}
		resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
		fail := func(name *string, id [16]byte) {
			out := kmsg.NewDeleteTopicsResponseTopic()
			out.Topic, out.TopicID, out.ErrorCode = name, id, controllerError(err).Code
			resp.Topics = append(resp.Topics, out)
		}
		for _, name := range req.TopicNames {
			fail(&name, [16]byte{})
		}
		for _, t := range req.Topics {
			fail(t.Topic, t.TopicID)
		}
		r.Reply(resp)
	})
}

// createPartitions answers CreatePartitions 0–3.
func (b *Broker) createPartitions(r *server.Request, req *kmsg.CreatePartitionsRequest) {
	b.Controller.Submit(cluster.Request{Body: req}, func(reply any, err error) {
		if err != nil {
			resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
			for _, t := range req.Topics {
				out := kmsg.NewCreatePartitionsResponseTopic()
				out.Topic, out.ErrorCode = t.Topic, controllerError(err).Code
				resp.Topics = append(resp.Topics, out)
			}
			r.Reply(resp)
			return
		}
		resp := reply.(*kmsg.CreatePartitionsResponse)
		grown := map[string]int{}
		for _, t := range resp.Topics {
			for _, want := range req.Topics {
				if t.ErrorCode == 0 && !req.ValidateOnly && want.Topic == t.Topic {
					grown[t.Topic] = int(want.Count)
				}
			}
		}
		b.whenLed(grown, func() { r.Reply(resp) })
	})
}

// The types of endpoints in DescribeCluster.
const (
	brokerEndpoint     = 1
	controllerEndpoint = 2
)

// describeCluster answers DescribeCluster 0–2.
func (b *Broker) describeCluster(r *server.Request, req *kmsg.DescribeClusterRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeClusterResponse)
	resp.ClusterAuthorizedOperations, resp.ControllerID, resp.EndpointType = noAuthorizedOperations, -1, brokerEndpoint
	switch req.EndpointType {
	case brokerEndpoint:
		resp.ClusterID, resp.ControllerID = b.ClusterID, b.controllerID()
		if req.IncludeClusterAuthorizedOperations {
			resp.ClusterAuthorizedOperations = clusterOperations
		}
		for broker := range b.Controller.Image().Brokers() {
			e, ok := broker.Endpoint(r.Conn.Listener)
			away := !b.Alive(broker.ID)
			if !ok || away && !req.IncludeFencedBrokers {
				continue
			}
			out := kmsg.NewDescribeClusterResponseBroker()
			out.NodeID, out.Host, out.Port, out.IsFenced = broker.ID, e.Host, e.Port, away
			if broker.Rack != "" {
				out.Rack = &broker.Rack
			}
			resp.Brokers = append(resp.Brokers, out)
		}
	case controllerEndpoint:
		resp.ErrorCode = kerr.MismatchedEndpointType.Code
		resp.ErrorMessage = kmsg.StringPtr("The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER")
	default:
		resp.ErrorCode = kerr.UnsupportedEndpointType.Code
		resp.ErrorMessage = kmsg.StringPtr(fmt.Sprintf("Unsupported endpoint type %d", req.EndpointType))
	}
	r.Reply(resp)
}
