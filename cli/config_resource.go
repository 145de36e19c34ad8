package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/internal/nearest"
)

// configResource is what has configurations: a topic, a broker, the cluster (all brokers; its name is empty) or a group.
type configResource struct {
	kind kmsg.ConfigResourceType
	name string
}

func (r configResource) String() string {
	switch {
	case r == clusterResource:
		return "the cluster"
	case r.kind == kmsg.ConfigResourceTypeBroker:
		return "broker " + r.name
	case r.kind == kmsg.ConfigResourceTypeTopic:
		return fmt.Sprintf("topic %q", r.name)
	}
	return fmt.Sprintf("group %q", r.name)
}

var clusterResource = configResource{kind: kmsg.ConfigResourceTypeBroker}

// configEntry is a configuration of a resource. Its JSON names are documented in the help.
type configEntry struct {
	Name      string          `json:"name"`
	Value     *string         `json:"value"`
	Source    string          `json:"source"`
	Secret    bool            `json:"secret"`
	ReadOnly  bool            `json:"read_only"`
	Synonyms  []configSynonym `json:"synonyms"`
	isDefault bool
}

// configSynonym is a place where a configuration could come from.
type configSynonym struct {
	Name   string  `json:"name"`
	Value  *string `json:"value"`
	Source string  `json:"source"`
}

// configSources names where a value comes from.
var configSources = map[kmsg.ConfigSource]string{
	kmsg.ConfigSourceDynamicTopicConfig:         "topic",
	kmsg.ConfigSourceDynamicBrokerConfig:        "broker",
	kmsg.ConfigSourceDynamicDefaultBrokerConfig: "cluster",
	kmsg.ConfigSourceStaticBrokerConfig:         "file",
	kmsg.ConfigSourceDefaultConfig:              "default",
	kmsg.ConfigSourceGroupConfig:                "group",
}

// configSourcesHelp is what the help of commands says about sources.
const configSourcesHelp = `A source is topic, group, broker (set for this broker), cluster (set for all brokers), file (the broker's
own configuration file) or default.`

func configSource(s kmsg.ConfigSource) string {
	if name, ok := configSources[s]; ok {
		return name
	}
	return strings.ToLower(s.String())
}

// configs gives the configurations of a resource, in order.
func (c *client) configs(ctx context.Context, of configResource) ([]configEntry, error) {
	if of.kind == kmsg.ConfigResourceTypeBroker && of != clusterResource {
		if err := c.checkBroker(ctx, of.name); err != nil {
			return nil, err
		}
	}
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = of.kind, of.name
	request := kmsg.NewPtrDescribeConfigsRequest()
	request.Resources, request.IncludeSynonyms = []kmsg.DescribeConfigsRequestResource{resource}, true
	response, err := request.RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	if len(response.Resources) != 1 {
		return nil, fmt.Errorf("the cluster did not give the configuration of %s", of)
	}
	answer := response.Resources[0]
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return nil, c.resourceError(ctx, of, err, answer.ErrorMessage)
	}
	entries := []configEntry{}
	for _, raw := range answer.Configs {
		e := configEntry{Name: raw.Name, Value: raw.Value, Source: configSource(raw.Source), Secret: raw.IsSensitive, ReadOnly: raw.ReadOnly,
			Synonyms: []configSynonym{}, isDefault: raw.Source == kmsg.ConfigSourceDefaultConfig}
		for _, s := range raw.ConfigSynonyms {
			e.Synonyms = append(e.Synonyms, configSynonym{s.Name, s.Value, configSource(s.Source)})
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b configEntry) int { return cmp.Compare(a.Name, b.Name) })
	return entries, nil
}

// checkBroker makes sure that there is a broker with an id.
func (c *client) checkBroker(ctx context.Context, id string) error {
	brokers, err := c.admin.ListBrokers(ctx)
	if err != nil {
		return err
	}
	ids := brokers.NodeIDs()
	if !slices.ContainsFunc(ids, func(there int32) bool { return strconv.Itoa(int(there)) == id }) {
		return fmt.Errorf("broker %s does not exist: there is %s", id, numbers(ids))
	}
	return nil
}

// resourceError names the resource that an error is about.
func (c *client) resourceError(ctx context.Context, of configResource, err error, message *string) error {
	if of.kind == kmsg.ConfigResourceTypeTopic && err == kerr.UnknownTopicOrPartition {
		return c.topicError(ctx, of.name, err)
	}
	if message != nil {
		err = brokerError(err, *message)
	}
	return fmt.Errorf("%s: %w", of, err)
}

// configNames gives the names of the configurations that a resource may have. The cluster itself only tells those that are
// set, so one of its brokers is asked.
func (c *client) configNames(ctx context.Context, of configResource, entries []configEntry) ([]string, error) {
	if of == clusterResource {
		brokers, err := c.admin.ListBrokers(ctx)
		if err != nil {
			return nil, err
		}
		if ids := brokers.NodeIDs(); len(ids) > 0 {
			of.name = strconv.Itoa(int(ids[0]))
			if entries, err = c.configs(ctx, of); err != nil {
				return nil, err
			}
		}
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name
	}
	return names, nil
}

// unlisted are configurations of brokers that Kafka takes, but lists only when they are set.
var unlisted = []string{"leader.replication.throttled.rate", "follower.replication.throttled.rate", "replica.alter.log.dirs.io.max.bytes.per.second"}

// listenerPrefix begins the names of a broker's configurations for one listener, which it does not list.
const listenerPrefix = "listener.name."

// checkConfigNames makes sure that a resource may have configurations with these names.
func (c *client) checkConfigNames(ctx context.Context, of configResource, entries []configEntry, names []string) error {
	known, err := c.configNames(ctx, of, entries)
	if err != nil {
		return err
	}
	for _, name := range names {
		if slices.Contains(known, name) || of.kind == kmsg.ConfigResourceTypeBroker && (strings.HasPrefix(name, listenerPrefix) || slices.Contains(unlisted, name)) {
			continue
		}
		hint := "`weir config list --all` shows those that there are"
		if near, ok := nearest.Name(name, known); ok {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		return fmt.Errorf("%s has no configuration %q: %s", of, name, hint)
	}
	return nil
}

// valueText shows a configuration's value.
func valueText(value *string, secret bool) string {
	switch {
	case value != nil:
		return *value
	case secret:
		return "(secret)"
	}
	return ""
}
