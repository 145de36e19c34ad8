package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/sdk"
)

// creator creates the topics of a source as topic.creation.* says (KIP-158).
type creator struct {
	admin  *kadm.Client
	groups []topicGroup // the first that fits; empty: topics are the brokers' to create
}

// topicGroup says how topics are created whose names fit.
type topicGroup struct {
	include, exclude []*regexp.Regexp
	partitions       int32
	replication      int16
	configs          map[string]*string
}

func newCreator(k *kgo.Client, worker, config map[string]string) (*creator, error) {
	c := &creator{admin: kadm.NewClient(k)}
	if worker["topic.creation.enable"] == "false" || config["topic.creation.default.partitions"] == "" && config["topic.creation.default.replication.factor"] == "" {
		return c, nil
	}
	names := []string{}
	for _, name := range strings.Split(config["topic.creation.groups"], ",") {
		if name = strings.TrimSpace(name); name != "" && name != "default" {
			names = append(names, name)
		}
	}
	for _, name := range append(names, "default") {
		g, err := newTopicGroup(name, under(config, "topic.creation."+name+"."), under(config, "topic.creation.default."))
		if err != nil {
			return nil, err
		}
		c.groups = append(c.groups, g)
	}
	return c, nil
}

func newTopicGroup(name string, own, otherwise map[string]string) (topicGroup, error) {
	all := maps.Clone(otherwise)
	if name != "default" {
		for option := range all {
			if option != "partitions" && option != "replication.factor" {
				delete(all, option)
			}
		}
		maps.Copy(all, own)
	}
	g := topicGroup{configs: map[string]*string{}}
	for option, value := range all {
		var err error
		switch option {
		case "include":
			g.include, err = patterns(value)
		case "exclude":
			g.exclude, err = patterns(value)
		case "partitions":
			var n int64
			n, err = strconv.ParseInt(value, 10, 32)
			g.partitions = int32(n)
		case "replication.factor":
			var n int64
			n, err = strconv.ParseInt(value, 10, 16)
			g.replication = int16(n)
		default:
			g.configs[option] = &value
		}
		if err != nil {
			return g, sdk.Misconfigured("Invalid value %s for configuration topic.creation.%s.%s: %w", value, name, option, err)
		}
	}
	if name == "default" {
		g.include, g.exclude = []*regexp.Regexp{regexp.MustCompile("")}, nil
	}
	return g, nil
}

func patterns(list string) ([]*regexp.Regexp, error) {
	var out []*regexp.Regexp
	for _, p := range strings.Split(list, ",") {
		re, err := regexp.Compile("^(?:" + strings.TrimSpace(p) + ")$")
		if err != nil {
			return nil, err
		}
		out = append(out, re)
	}
	return out, nil
}

// create creates a topic if it is not there and this is the connector's to do.
func (c *creator) create(ctx context.Context, topic string) error {
	fits := func(re *regexp.Regexp) bool { return re.MatchString(topic) }
	for _, g := range c.groups {
		if !slices.ContainsFunc(g.include, fits) || slices.ContainsFunc(g.exclude, fits) {
			continue
		}
		_, err := c.admin.CreateTopic(ctx, g.partitions, g.replication, g.configs, topic)
		switch {
		case err == nil, errors.Is(err, kerr.TopicAlreadyExists):
			return nil
		case kerr.IsRetriable(err) || ctx.Err() != nil:
			return sdk.Retry(fmt.Errorf("creating topic %s: %w", topic, err))
		}
		return sdk.Misconfigured("Topic %s cannot be created as topic.creation.* says: %w", topic, err)
	}
	return nil
}
