package api

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/cluster"
	"github.com/weir/weir/config"
)

// A broker's loggers are a resource of their own: what is set is in effect at once, and forgotten when the broker stops
// (KIP-412). Here there is one logger, with the levels that it knows.
const (
	loggerResource = cluster.ResourceKind(kmsg.ConfigResourceTypeBrokerLogger)
	rootLogger     = "root"
)

var logLevels = []string{"DEBUG", "ERROR", "INFO", "WARN"}

// describeLoggers gives the levels of this broker's loggers.
func (b *Broker) describeLoggers(name string) ([]config.Entry, error) {
	if name == "" {
		return nil, fmt.Errorf("Broker id must not be empty%w", silent{kerr.InvalidRequest})
	}
	if id, err := strconv.ParseInt(name, 10, 32); err != nil {
		return nil, fmt.Errorf("Broker id must be an integer, but it is: %s%w", name, silent{kerr.InvalidRequest})
	} else if int32(id) != b.Self {
		return nil, fmt.Errorf("Unexpected broker id, expected %d but received %s%w", b.Self, name, silent{kerr.InvalidRequest})
	}
	if b.LogLevel == nil {
		return nil, nil
	}
	level := b.LogLevel.Level().String()
	return []config.Entry{{Option: &config.Option{Name: rootLogger}, Value: &level, Source: config.SourceLogger}}, nil
}

// alterAllLoggers sets the levels that a request has.
func (b *Broker) alterAllLoggers(req *kmsg.IncrementalAlterConfigsRequest) []kmsg.IncrementalAlterConfigsResponseResource {
	count := map[string]int{}
	for _, res := range req.Resources {
		if isLogger(res) {
			count[res.ResourceName]++
		}
	}
	var out []kmsg.IncrementalAlterConfigsResponseResource
	for _, res := range req.Resources {
		switch n := count[res.ResourceName]; {
		case !isLogger(res):
		case n > 1:
			twice := kmsg.NewIncrementalAlterConfigsResponseResource()
			twice.ResourceType, twice.ResourceName = res.ResourceType, res.ResourceName
			twice.ErrorCode, twice.ErrorMessage = kerr.InvalidRequest.Code, kmsg.StringPtr("Each resource must appear at most once.")
			out = append(out, twice)
		default:
			out = append(out, b.alterLoggers(res, req.ValidateOnly))
		}
	}
	return out
}

func isLogger(res kmsg.IncrementalAlterConfigsRequestResource) bool {
	return res.ResourceType == kmsg.ConfigResourceTypeBrokerLogger
}

// alterLoggers sets levels, all of a resource's or none.
func (b *Broker) alterLoggers(res kmsg.IncrementalAlterConfigsRequestResource, validateOnly bool) kmsg.IncrementalAlterConfigsResponseResource {
	out := kmsg.NewIncrementalAlterConfigsResponseResource()
	out.ResourceType, out.ResourceName = res.ResourceType, res.ResourceName
	ke, text := cluster.CheckChanges(res.Configs)
	if ke == nil {
		ke, text = b.checkLoggers(res)
	}
	if ke != nil {
		out.ErrorCode, out.ErrorMessage = ke.Code, &text
		return out
	}
	if !validateOnly {
		for _, c := range res.Configs {
			var level slog.Level
			if err := level.UnmarshalText([]byte(*c.Value)); err != nil {
				panic("BUG: a level was let through: " + err.Error())
			}
			b.LogLevel.Set(level)
		}
	}
	return out
}

// checkLoggers tells in Kafka's words what is wrong with changes of loggers; nil: nothing.
func (b *Broker) checkLoggers(res kmsg.IncrementalAlterConfigsRequestResource) (*kerr.Error, string) {
	if id, err := strconv.ParseInt(res.ResourceName, 10, 32); err != nil {
		return kerr.InvalidRequest, "Node id must be an integer, but it is: " + res.ResourceName
	} else if int32(id) != b.Self {
		return kerr.InvalidRequest, fmt.Sprintf("Unexpected node id. Expected %d, but received %s", b.Self, res.ResourceName)
	}
	for _, c := range res.Configs {
		known := c.Name == rootLogger && b.LogLevel != nil
		switch {
		case c.Op == kmsg.IncrementalAlterConfigOpAppend, c.Op == kmsg.IncrementalAlterConfigOpSubtract:
			return kerr.InvalidRequest, c.Op.String() + " operation is not allowed for the BROKER_LOGGER resource"
		case c.Op != kmsg.IncrementalAlterConfigOpSet && c.Op != kmsg.IncrementalAlterConfigOpDelete:
			return kerr.InvalidRequest, fmt.Sprintf("Unknown operation type %d", int8(c.Op))
		case !known:
			return kerr.InvalidConfig, fmt.Sprintf("Logger %s does not exist!", c.Name)
		case c.Op == kmsg.IncrementalAlterConfigOpDelete:
			return kerr.InvalidRequest, "Removing the log level of the root logger is not allowed"
		case !slices.Contains(logLevels, *c.Value):
			return kerr.InvalidConfig, fmt.Sprintf("Cannot set the log level of %s to %s as it is not a supported log level. Valid log levels are %s", c.Name, *c.Value, strings.Join(logLevels, ", "))
		}
	}
	return nil, ""
}
