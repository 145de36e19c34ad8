package runtime

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/weir/weir/connect/sdk"
)

// creation says how topics are created that a source writes to (topic.creation.*).
type creation struct {
	rules []creationRule // the last is the default
}

type creationRule struct {
	include, exclude []*regexp.Regexp
	partitions       int32
	replicas         int16
	settings         map[string]*string
}

// newCreation reads the rules of a configuration; nil: it has none, or the worker allows none, and the cluster creates topics as it
// likes.
func newCreation(worker, props map[string]string) (*creation, error) {
	if worker["topic.creation.enable"] == "false" {
		return nil, nil
	}
	all := under(props, "topic.creation.")
	if len(all) == 0 {
		return nil, nil
	}
	var names []string
	for _, name := range strings.Split(all["groups"], ",") {
		if name = strings.TrimSpace(name); name != "" && name != "default" {
			names = append(names, name)
		}
	}
	fallback, err := readRule(under(all, "default."), "topic.creation.default.", nil)
	if err != nil {
		return nil, err
	}
	c := &creation{}
	for _, name := range names {
		r, err := readRule(under(all, name+"."), "topic.creation."+name+".", &fallback)
		if err != nil {
			return nil, err
		}
		c.rules = append(c.rules, r)
	}
	c.rules = append(c.rules, fallback)
	return c, nil
}

// readRule reads a group of rules. What is missing is as in the fallback; the fallback itself needs all.
func readRule(props map[string]string, prefix string, fallback *creationRule) (creationRule, error) {
	number := sdk.Option{Name: "partitions", Kind: sdk.IntOption, Required: fallback == nil, NoDefault: true, Check: countOrDefault}
	replicas := sdk.Option{Name: "replication.factor", Kind: sdk.ShortOption, Required: fallback == nil, NoDefault: true, Check: countOrDefault}
	include := sdk.Option{Name: "include", Kind: sdk.ListOption, Required: fallback != nil, Default: ".*"}
	exclude := sdk.Option{Name: "exclude", Kind: sdk.ListOption, Default: ""}
	v, wrong := sdk.Parse([]sdk.Option{number, replicas, include, exclude}, props)
	if len(wrong) > 0 {
		return creationRule{}, sdk.Misconfigured("%s%s: %w", prefix, wrong[0].Option, wrong[0])
	}
	r := creationRule{partitions: int32(v.Int("partitions")), replicas: int16(v.Int("replication.factor")), settings: map[string]*string{}}
	if fallback != nil && !v.Has("partitions") {
		r.partitions = fallback.partitions
	}
	if fallback != nil && !v.Has("replication.factor") {
		r.replicas = fallback.replicas
	}
	var err error
	if r.include, err = patterns(v.List("include"), prefix+"include"); err != nil {
		return r, err
	}
	if r.exclude, err = patterns(v.List("exclude"), prefix+"exclude"); err != nil {
		return r, err
	}
	for name, value := range props {
		switch name {
		case "partitions", "replication.factor", "include", "exclude":
		default:
			r.settings[name] = &value
		}
	}
	return r, nil
}

func countOrDefault(_ sdk.Values, value any) error {
	if n, _ := value.(int64); n < 1 && n != -1 {
		return fmt.Errorf("Value must be at least 1, or -1 for the cluster's default")
	}
	return nil
}

func patterns(list []string, option string) ([]*regexp.Regexp, error) {
	var out []*regexp.Regexp
	for _, text := range list {
		p, err := regexp.Compile("^(?:" + text + ")$")
		if err != nil {
			return nil, sdk.Misconfigured("%s: %q is no regular expression: %w", option, text, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// rule gives that for a topic.
func (c *creation) rule(topic string) *creationRule {
	match := func(list []*regexp.Regexp) bool {
		for _, p := range list {
			if p.MatchString(topic) {
				return true
			}
		}
		return false
	}
	for i := range c.rules {
		if r := &c.rules[i]; i == len(c.rules)-1 || match(r.include) && !match(r.exclude) {
			return r
		}
	}
	panic("BUG: topic.creation has no default")
}

// ensure creates a topic if it is not there.
func (c *creation) ensure(ctx context.Context, admin *kadm.Client, topic string) error {
	there, err := admin.ListTopics(ctx, topic)
	if err != nil {
		return sdk.Retry(fmt.Errorf("it cannot be found out whether the topic %s is there: %w", topic, err))
	}
	if there.Has(topic) {
		return nil
	}
	r := c.rule(topic)
	answer, err := admin.CreateTopic(ctx, r.partitions, r.replicas, r.settings, topic)
	if err == nil || errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	if kerr.IsRetriable(err) {
		return sdk.Retry(fmt.Errorf("the topic %s cannot be created: %w", topic, err))
	}
	if answer.ErrMessage != "" {
		err = fmt.Errorf("%w: %s", err, answer.ErrMessage)
	}
	return sdk.Misconfigured("The topic %s cannot be created as topic.creation.* says: %w", topic, err)
}
