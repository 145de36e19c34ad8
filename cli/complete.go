package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
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
