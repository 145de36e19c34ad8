package cli

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// completionTimeout bounds how long a shell waits for the names of a cluster.
const completionTimeout = time.Second

// completion is what cobra calls to complete an argument or a flag.
type completion = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// completeTopics completes topic names; only the first argument unless many.
func (o *options) completeTopics(many bool) completion {
	return o.completeNames(many, func(ctx context.Context, c *client) ([]string, error) { return c.topicNames(ctx) })
}

// completeGroups completes group names; only the first argument unless many.
func (o *options) completeGroups(many bool) completion {
	return o.completeNames(many, func(ctx context.Context, c *client) ([]string, error) {
		groups, err := c.groups(ctx)
		return groups.names(), err
	})
}

// completeBrokers completes broker ids.
func (o *options) completeBrokers() completion {
	return o.completeNames(true, func(ctx context.Context, c *client) ([]string, error) {
		brokers, err := c.admin.ListBrokers(ctx)
		var ids []string
		for _, id := range brokers.NodeIDs() {
			ids = append(ids, strconv.Itoa(int(id)))
		}
		return ids, err
	})
}

// completeConfigs completes the names of configurations of what the flags name, each with a suffix.
func (o *options) completeConfigs(t *configTarget, suffix string) completion {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		r, err := t.resource(cmd)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return o.completeConfigsOf(func(context.Context, *client) (configResource, error) { return r, nil }, suffix)(cmd, args, typed)
	}
}

// completeTopicConfigs completes the names of configurations of topics, each with a suffix. All topics have the same ones, so any
// topic will do.
func (o *options) completeTopicConfigs(suffix string) completion {
	return o.completeConfigsOf(func(ctx context.Context, c *client) (configResource, error) {
		names, err := c.topicNames(ctx)
		if err == nil && len(names) == 0 {
			err = errors.New("there is no topic to ask for the names")
		}
		if err != nil {
			return configResource{}, err
		}
		return configResource{kmsg.ConfigResourceTypeTopic, names[0]}, nil
	}, suffix)
}

func (o *options) completeConfigsOf(of func(context.Context, *client) (configResource, error), suffix string) completion {
	complete := o.completeNames(true, func(ctx context.Context, c *client) ([]string, error) {
		r, err := of(ctx, c)
		if err != nil {
			return nil, err
		}
		entries, err := c.configs(ctx, r)
		if err != nil {
			return nil, err
		}
		names, err := c.configNames(ctx, r, entries)
		for i := range names {
			names[i] += suffix
		}
		return names, err
	})
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		names, directive := complete(cmd, args, typed)
		if suffix != "" {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		return names, directive
	}
}

// completeNames completes names that the cluster gives. If it does not, there is nothing to complete.
func (o *options) completeNames(many bool, list func(context.Context, *client) ([]string, error)) completion {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		const directive = cobra.ShellCompDirectiveNoFileComp
		if len(args) > 0 && !many || o.complete(cmd) != nil {
			return nil, directive
		}
		c, err := o.connect(kgo.DialTimeout(completionTimeout), kgo.RetryTimeout(completionTimeout))
		if err != nil {
			return nil, directive
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(context.Background(), completionTimeout)
		defer cancel()
		names, err := list(ctx, c)
		if err != nil {
			return nil, directive
		}
		// A name with control characters would reach the shell's screen; one that is given already is not offered again.
		return slices.DeleteFunc(names, func(name string) bool {
			return escape(name) != name || slices.Contains(args, name)
		}), directive
	}
}
