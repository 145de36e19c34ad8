package runtime

import (
	"strings"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// settings are those options that all connectors have and that the runtime goes by. What they are for is told where configurations
// are validated.
var settings = []sdk.Option{
	{Name: "topics", Kind: sdk.ListOption, NoDefault: true},
	{Name: "topics.regex", Kind: sdk.StringOption, NoDefault: true},
	{Name: "errors.tolerance", Kind: sdk.StringOption, Default: "none", Check: sdk.OneOf("none", "all")},
	{Name: "errors.retry.timeout", Kind: sdk.LongOption, Default: "0"},
	{Name: "errors.retry.delay.max.ms", Kind: sdk.LongOption, Default: "60000"},
	{Name: "errors.log.enable", Kind: sdk.BooleanOption, Default: "false"},
	{Name: "errors.log.include.messages", Kind: sdk.BooleanOption, Default: "false"},
	{Name: "errors.deadletterqueue.topic.name", Kind: sdk.StringOption, Default: ""},
	{Name: "errors.deadletterqueue.topic.replication.factor", Kind: sdk.ShortOption, Default: "3"},
	{Name: "errors.deadletterqueue.context.headers.enable", Kind: sdk.BooleanOption, Default: "false"},
	{Name: "offsets.storage.topic", Kind: sdk.StringOption, Default: ""},
}

// parse reads options, and makes one error of the first that is wrong.
func parse(options []sdk.Option, props map[string]string) (sdk.Values, error) {
	v, wrong := sdk.Parse(options, props)
	if len(wrong) > 0 {
		text := wrong[0].Error()
		if !strings.Contains(text, wrong[0].Option) {
			text = wrong[0].Option + ": " + text
		}
		return v, sdk.Misconfigured("%s", text)
	}
	return v, nil
}

// under gives the options that begin with a prefix, without it.
func under(props map[string]string, prefix string) map[string]string {
	out := map[string]string{}
	for name, value := range props {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			out[rest] = value
		}
	}
	return out
}

// backoff gives how long to wait before another try: it doubles from first to most.
func backoff(tries int, first, most time.Duration) time.Duration {
	if tries < 1 {
		panic("BUG: no try has failed yet")
	}
	if tries > 20 {
		return most
	}
	return min(first<<(tries-1), most)
}
