package api

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/cluster"
	"github.com/weir/weir/config"
)

// layers gives the dynamic configurations that apply to something on this broker.
func (b *Broker) layers(resource map[string]string) config.Layers {
	img := b.Controller.Image()
	return config.Layers{
		Resource: resource,
		Broker:   img.Config(cluster.Resource{Kind: cluster.BrokerResource, Name: strconv.Itoa(int(b.Self))}),
		Default:  img.Config(cluster.Resource{Kind: cluster.BrokerResource}),
	}
}

func (b *Broker) topicEntries(set map[string]string) []config.Entry {
	return b.Config.DescribeTopic(b.layers(set))
}

// describeConfigs answers DescribeConfigs 1–4 for topics, brokers, their loggers, and groups.
func (b *Broker) describeConfigs(r *server.Request, req *kmsg.DescribeConfigsRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	for _, res := range req.Resources {
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName, out.ErrorMessage = res.ResourceType, res.ResourceName, kmsg.StringPtr("")
		entries, err := b.describeResource(cluster.Resource{Kind: cluster.ResourceKind(res.ResourceType), Name: res.ResourceName})
		if err != nil {
			out.ErrorCode, out.ErrorMessage = code(err), kmsg.StringPtr(err.Error())
			switch ke := kafkaError(err); {
			case err == error(kerr.UnknownTopicOrPartition):
				out.ErrorMessage = kmsg.StringPtr("")
			case ke != nil && err == error(ke):
				out.ErrorMessage = described(ke)
			}
		}
		for _, e := range entries {
			if len(res.ConfigNames) == 0 || slices.Contains(res.ConfigNames, e.Name) {
				out.Configs = append(out.Configs, describeEntry(e, req))
			}
		}
		resp.Resources = append(resp.Resources, out)
	}
	r.Reply(resp)
}

func (b *Broker) describeResource(res cluster.Resource) ([]config.Entry, error) {
	img := b.Controller.Image()
	switch res.Kind {
	case cluster.TopicResource:
		if img.Topic(res.Name) == nil {
			if text := cluster.CheckTopicName(res.Name); text != "" {
				return nil, fmt.Errorf("%s%w", text, silent{kerr.InvalidTopicException})
			}
			return nil, kerr.UnknownTopicOrPartition
		}
		return b.topicEntries(img.Config(res)), nil
	case cluster.BrokerResource:
		return b.describeBroker(img, res.Name)
	case loggerResource:
		return b.describeLoggers(res.Name)
	case cluster.GroupResource:
		if res.Name == "" {
			return nil, fmt.Errorf("Group name must not be empty%w", silent{kerr.InvalidRequest})
		}
		return b.Config.DescribeGroup(b.layers(img.Config(res))), nil
	}
	return nil, kerr.InvalidRequest
}

// silent is an error of Kafka's that adds nothing to a message that says it all.
type silent struct{ code *kerr.Error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.code }

// describeBroker gives this broker's options, or without a name those that were set for all brokers.
func (b *Broker) describeBroker(img *cluster.Image, name string) ([]config.Entry, error) {
	if name == "" {
		set := img.Config(cluster.Resource{Kind: cluster.BrokerResource})
		var out []config.Entry
		for _, e := range b.Config.DescribeBroker(config.Layers{Default: set}) {
			if _, ok := set[e.Name]; ok {
				e.Synonyms = slices.DeleteFunc(e.Synonyms, func(s config.Synonym) bool { return s.Source != config.SourceDefaultBroker })
				out = append(out, e)
			}
		}
		return out, nil
	}
	if id, err := strconv.ParseInt(name, 10, 32); err != nil {
		return nil, fmt.Errorf("Broker id must be an integer, but it is: %s%w", name, silent{kerr.InvalidRequest})
	} else if int32(id) != b.Self {
		return nil, fmt.Errorf("Unexpected broker id, expected %d or empty string, but received %s%w", b.Self, name, silent{kerr.InvalidRequest})
	}
	return b.Config.DescribeBroker(b.layers(nil)), nil
}

func describeEntry(e config.Entry, req *kmsg.DescribeConfigsRequest) kmsg.DescribeConfigsResponseResourceConfig {
	out := kmsg.NewDescribeConfigsResponseResourceConfig()
	out.Name, out.Value, out.Source, out.IsSensitive = e.Name, e.Value, kmsg.ConfigSource(e.Source), e.Sensitive
	out.IsDefault, out.ReadOnly, out.ConfigType = e.Source == config.SourceDefault, e.ReadOnly, kmsg.ConfigType(e.Type)
	if req.IncludeSynonyms {
		for _, s := range e.Synonyms {
			syn := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			syn.Name, syn.Value, syn.Source = s.Name, s.Value, kmsg.ConfigSource(s.Source)
			out.ConfigSynonyms = append(out.ConfigSynonyms, syn)
		}
	}
	if req.IncludeDocumentation {
		out.Documentation = &e.Doc
	}
	return out
}

// alterConfigs answers AlterConfigs 0–2: a resource has the given dynamic configurations from then on, and no others.
func (b *Broker) alterConfigs(r *server.Request, req *kmsg.AlterConfigsRequest) {
	b.Controller.Submit(cluster.Request{Body: req}, func(reply any, err error) {
		if err == nil {
			r.Reply(reply.(*kmsg.AlterConfigsResponse))
			return
		}
		resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
		for _, res := range req.Resources {
			out := kmsg.NewAlterConfigsResponseResource()
			out.ResourceType, out.ResourceName, out.ErrorCode = res.ResourceType, res.ResourceName, controllerError(err).Code
			resp.Resources = append(resp.Resources, out)
		}
		r.Reply(resp)
	})
}

// listConfigResources answers ListConfigResources 0–1: what has, or can have, configurations. Version 0 is only about
// client metrics, of which there are none (KIP-1142).
func (b *Broker) listConfigResources(r *server.Request, req *kmsg.ListConfigResourcesRequest) {
	resp := req.ResponseKind().(*kmsg.ListConfigResourcesResponse)
	wanted := req.ResourceTypes
	switch {
	case req.Version == 0:
		wanted = []int8{int8(kmsg.ConfigResourceTypeClientMetrics)}
	case len(wanted) == 0:
		wanted = listedResources
	}
	img := b.Controller.Image()
	for _, kind := range wanted {
		if !slices.Contains(listedResources, kind) {
			resp.ErrorCode, resp.ConfigResources = kerr.UnsupportedVersion.Code, nil
			break
		}
		for _, name := range resourceNames(img, kmsg.ConfigResourceType(kind)) {
			out := kmsg.NewListConfigResourcesResponseConfigResource()
			out.Name, out.Type = name, kind
			resp.ConfigResources = append(resp.ConfigResources, out)
		}
	}
	r.Reply(resp)
}

// listedResources are the kinds of resources that can be listed.
var listedResources = []int8{
	int8(kmsg.ConfigResourceTypeTopic), int8(kmsg.ConfigResourceTypeBroker), int8(kmsg.ConfigResourceTypeBrokerLogger),
	int8(kmsg.ConfigResourceTypeClientMetrics), int8(kmsg.ConfigResourceTypeGroupConfig),
}

func resourceNames(img *cluster.Image, kind kmsg.ConfigResourceType) (names []string) {
	switch kind {
	case kmsg.ConfigResourceTypeTopic:
		for t := range img.Topics() {
			names = append(names, t.Name)
		}
	case kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger:
		for broker := range img.Brokers() {
			names = append(names, strconv.Itoa(int(broker.ID)))
		}
	case kmsg.ConfigResourceTypeGroupConfig:
		names = img.Resources(cluster.GroupResource)
	}
	return names
}

// incrementalAlterConfigs answers IncrementalAlterConfigs 0–1. Loggers are this broker's own matter, all else is the
// controller's.
func (b *Broker) incrementalAlterConfigs(r *server.Request, req *kmsg.IncrementalAlterConfigsRequest) {
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	resp.Resources = b.alterAllLoggers(req)
	rest := *req
	rest.Resources = slices.DeleteFunc(slices.Clone(req.Resources), isLogger)
	if len(rest.Resources) == 0 {
		r.Reply(resp)
		return
	}
	b.Controller.Submit(cluster.Request{Body: &rest}, func(reply any, err error) {
		if err == nil {
			resp.Resources = append(resp.Resources, reply.(*kmsg.IncrementalAlterConfigsResponse).Resources...)
			r.Reply(resp)
			return
		}
		for _, res := range rest.Resources {
			out := kmsg.NewIncrementalAlterConfigsResponseResource()
			out.ResourceType, out.ResourceName, out.ErrorCode = res.ResourceType, res.ResourceName, controllerError(err).Code
			resp.Resources = append(resp.Resources, out)
		}
		r.Reply(resp)
	})
}
