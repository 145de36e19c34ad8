package cluster

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// incrementalAlterConfigs changes dynamic configurations: all changes of a resource, or none (KIP-339).
func (c *Controller) incrementalAlterConfigs(d *draft, req *kmsg.IncrementalAlterConfigsRequest) *kmsg.IncrementalAlterConfigsResponse {
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	seen := map[Resource]int{}
	for _, r := range req.Resources {
		seen[Resource{ResourceKind(r.ResourceType), r.ResourceName}]++
	}
	for i := range req.Resources {
		r := &req.Resources[i]
		out := kmsg.NewIncrementalAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
		res := Resource{ResourceKind(r.ResourceType), r.ResourceName}
		records, p := c.alter(res, r.Configs)
		if seen[res] > 1 {
			p = fail(kerr.InvalidRequest, "Each resource must appear at most once.")
		}
		switch {
		case p != nil:
			out.ErrorCode, out.ErrorMessage = p.code.Code, &p.message
		case !req.ValidateOnly:
			for _, rec := range records {
				d.put(kindConfig, rec)
			}
		}
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

// alterConfigs gives resources the configurations of the request and takes all others away: all of a resource, or none.
func (c *Controller) alterConfigs(d *draft, req *kmsg.AlterConfigsRequest) *kmsg.AlterConfigsResponse {
	resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	seen := map[Resource]int{}
	for _, r := range req.Resources {
		seen[Resource{ResourceKind(r.ResourceType), r.ResourceName}]++
	}
	for _, r := range req.Resources {
		out := kmsg.NewAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
		res := Resource{ResourceKind(r.ResourceType), r.ResourceName}
		records, p := c.alter(res, c.replacing(res, r.Configs))
		if seen[res] > 1 {
			p = fail(kerr.InvalidRequest, "Each resource must appear at most once.")
		}
		switch {
		case p != nil:
			out.ErrorCode, out.ErrorMessage = p.code.Code, &p.message
		case !req.ValidateOnly:
			for _, rec := range records {
				d.put(kindConfig, rec)
			}
		}
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

// replacing says a replacement of all configurations as changes of single ones.
func (c *Controller) replacing(res Resource, configs []kmsg.AlterConfigsRequestResourceConfig) []kmsg.IncrementalAlterConfigsRequestResourceConfig {
	var out []kmsg.IncrementalAlterConfigsRequestResourceConfig
	kept := map[string]bool{}
	for _, set := range configs {
		kept[set.Name] = true
		ch := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		ch.Name, ch.Op, ch.Value = set.Name, kmsg.IncrementalAlterConfigOpSet, set.Value
		out = append(out, ch)
	}
	for _, name := range slices.Sorted(maps.Keys(c.image.Config(res))) {
		if !kept[name] {
			ch := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			ch.Name, ch.Op = name, kmsg.IncrementalAlterConfigOpDelete
			out = append(out, ch)
		}
	}
	return out
}

func (c *Controller) alter(res Resource, changes []kmsg.IncrementalAlterConfigsRequestResourceConfig) ([]configRecord, *problem) {
	if code, message := CheckChanges(changes); code != nil {
		return nil, &problem{code, message}
	}
	if p := c.checkResource(res); p != nil {
		return nil, p
	}
	current := c.image.Config(res)
	after := map[string]string{}
	maps.Copy(after, current)
	var out []configRecord
	for _, ch := range changes {
		var now *string
		if v, ok := current[ch.Name]; ok {
			now = &v
		}
		next, err := c.cfg.ApplyConfig(res.Kind, ch.Name, ch.Op, now, ch.Value)
		if err != nil {
			return nil, fail(kerr.InvalidConfig, "%s", err)
		}
		if err := c.validate(res, ch.Name, next); err != nil {
			refusal := kerr.InvalidConfig
			if res.Kind == BrokerResource {
				refusal = kerr.InvalidRequest // as Kafka says it of brokers' options
			}
			return nil, fail(refusal, "%s", err)
		}
		if (next == nil) != (now == nil) || next != nil && *next != *now {
			out = append(out, configRecord{Kind: res.Kind, Name: res.Name, Key: ch.Name, Value: next})
		}
		if delete(after, ch.Name); next != nil {
			after[ch.Name] = *next
		}
	}
	if res.Kind == TopicResource {
		if err := c.cfg.ValidateTopicSet(after); err != nil {
			return nil, fail(kerr.InvalidConfig, "%s", err)
		}
	}
	if p := c.checkExists(res); p != nil {
		return nil, p
	}
	return out, nil
}

// CheckChanges checks what can be checked of changes without knowing what they are for. It gives Kafka's error and a message;
// nil: nothing is wrong.
func CheckChanges(changes []kmsg.IncrementalAlterConfigsRequestResourceConfig) (*kerr.Error, string) {
	seen := map[string]bool{}
	var null []string
	for _, ch := range changes {
		if seen[ch.Name] {
			return kerr.InvalidRequest, "Error due to duplicate config keys"
		}
		seen[ch.Name] = true
		if ch.Op != kmsg.IncrementalAlterConfigOpDelete && ch.Value == nil {
			null = append(null, ch.Name)
		}
	}
	if null != nil {
		return kerr.InvalidRequest, "Null value not supported for : " + strings.Join(null, ", ")
	}
	return nil, ""
}

// validate checks a value that is to be set. Removing one only needs the name to be a known one.
func (c *Controller) validate(res Resource, name string, value *string) error {
	if value == nil {
		return nil
	}
	switch res.Kind {
	case TopicResource:
		return c.cfg.ValidateTopicConfig(name, *value)
	case BrokerResource:
		return c.cfg.ValidateBrokerConfig(name, *value, res.Name != "")
	default:
		return c.cfg.ValidateGroupConfig(name, *value)
	}
}

// checkExists is the last of the checks, as in Kafka.
func (c *Controller) checkExists(res Resource) *problem {
	if res.Kind == TopicResource && c.image.Topic(res.Name) == nil {
		return fail(kerr.UnknownTopicOrPartition, "The topic '%s' does not exist.", res.Name)
	}
	return nil
}

// checkResource checks what a resource is called.
func (c *Controller) checkResource(res Resource) *problem {
	switch res.Kind {
	case TopicResource:
		if res.Name == "" {
			return fail(kerr.InvalidRequest, "Default topic resources are not allowed.")
		}
		if text := CheckTopicName(res.Name); text != "" {
			return fail(kerr.InvalidTopicException, "%s", text)
		}
	case BrokerResource:
		if res.Name == "" {
			return nil
		}
		id, err := strconv.ParseInt(res.Name, 10, 32)
		if err != nil {
			return fail(kerr.InvalidRequest, "Node id must be an integer, but it is: %s", res.Name)
		}
		if c.image.Broker(int32(id)) == nil {
			return fail(kerr.BrokerIDNotRegistered, "No broker with id %d found.", id)
		}
	case GroupResource:
		if res.Name == "" {
			return fail(kerr.InvalidRequest, "Default group resources are not allowed.")
		}
	default:
		return fail(kerr.InvalidRequest, "Unknown resource type %d", res.Kind)
	}
	return nil
}
