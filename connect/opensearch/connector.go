package opensearch

import (
	"context"
	"fmt"
	"time"

	"github.com/weir/weir/connect/sdk"
)

const version = "1.0.0"

// Connectors gives the package's connectors.
func Connectors() []sdk.Connector { return []sdk.Connector{sink{aiven}, sink{confluent}} }

// flavour is whose options a connector has.
type flavour uint8

const (
	aiven flavour = iota
	confluent
)

// sink is the connector.
type sink struct{ of flavour }

func (s sink) Info() sdk.Info {
	if s.of == confluent {
		return sdk.Info{Class: "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector", Version: version,
			Doc: "Writes records to Elasticsearch or OpenSearch as documents; with the options of Confluent's connector."}
	}
	return sdk.Info{Class: "io.aiven.kafka.connect.opensearch.OpensearchSinkConnector", Version: version,
		// its class since release 4
		Aliases: []string{"io.aiven.kafka.connect.opensearch.OpenSearchSinkConnector"},
		Doc:     "Writes records to OpenSearch or Elasticsearch as documents; with the options of Aiven's connector."}
}

func (s sink) Options() []sdk.Option { return optionTables[s.of]() }

func (s sink) NewTask() sdk.SinkTask { return &task{of: s.of} }

// Validate checks the options together and, if they are right, whether a server answers and takes the password.
func (s sink) Validate(ctx context.Context, v sdk.Values) []sdk.OptionError {
	o, wrong := parseSettings(s.of, v)
	if len(wrong) > 0 {
		return wrong
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	c := newClient(o)
	defer c.close()
	var last error
	for range o.urls {
		answer, err := c.ask(ctx, 0, "GET", "/", nil)
		switch {
		case err != nil:
			last = fmt.Errorf("%w; check connection.url", err)
		case answer.status == 401 || answer.status == 403:
			return []sdk.OptionError{{Option: "connection.username", Err: fmt.Errorf("%s does not let the user %q in (HTTP status %d): check connection.username and connection.password", answer.from, o.user, answer.status)}}
		case answer.status != 200:
			last = fmt.Errorf("%s answers with HTTP status %d: check that connection.url is that of OpenSearch or Elasticsearch", answer.from, answer.status)
		default:
			return nil
		}
		c.next(0)
	}
	return []sdk.OptionError{{Option: "connection.url", Err: last}}
}
