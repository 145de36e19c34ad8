package connect

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/weir/weir/connect/herder"
	"github.com/weir/weir/connect/sdk"
)

// positions is how far a connector is, as it is told and set.
type positions struct {
	Offsets []position `json:"offsets"`
}

type position struct {
	Partition map[string]any `json:"partition"`
	Offset    map[string]any `json:"offset"`
}

// The members of a sink's partitions and offsets.
const (
	sinkTopic     = "kafka_topic"
	sinkPartition = "kafka_partition"
	sinkOffset    = "kafka_offset"
)

// MarshalJSON writes members in the order in which Kafka's workers have them.
func (p position) MarshalJSON() ([]byte, error) {
	b := append([]byte(`{"partition":`), hashed(p.Partition)...)
	b = append(append(b, `,"offset":`...), hashed(p.Offset)...)
	return append(b, '}'), nil
}

func hashed(m map[string]any) []byte {
	if m == nil {
		return []byte("null")
	}
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	b := []byte{'{'}
	for i, name := range inHashOrder(names, 0) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, plainJSON(name)...), ':'), plainJSON(m[name])...)
	}
	return append(b, '}')
}

// offsets tells how far a connector is.
func (w *Worker) offsets(ctx context.Context, name string) (Response, error) {
	c, p, resolved, err := w.known(name)
	if err != nil {
		return Response{}, err
	}
	out := positions{Offsets: []position{}}
	if p.kind == sinkKind {
		offsets, err := w.engine.SinkOffsets(ctx, name, resolved)
		if err != nil {
			return Response{}, err
		}
		for at, offset := range offsets {
			out.Offsets = append(out.Offsets, position{map[string]any{sinkTopic: at.Topic, sinkPartition: at.Partition}, map[string]any{sinkOffset: offset}})
		}
		slices.SortFunc(out.Offsets, func(a, b position) int {
			return cmp.Or(cmp.Compare(a.Partition[sinkTopic].(string), b.Partition[sinkTopic].(string)), cmp.Compare(a.Partition[sinkPartition].(int32), b.Partition[sinkPartition].(int32)))
		})
		return answerJSON(http.StatusOK, out), nil
	}
	all, err := w.engine.Positions(ctx, name, c.Config)
	if err != nil {
		return Response{}, err
	}
	for _, at := range all {
		out.Offsets = append(out.Offsets, position{at.Partition, at.Offset})
	}
	slices.SortFunc(out.Offsets, func(a, b position) int { return bytes.Compare(hashed(a.Partition), hashed(b.Partition)) })
	return answerJSON(http.StatusOK, out), nil
}

// known gives a connector with what is needed to ask how far it is.
func (w *Worker) known(name string) (c *herder.Connector, p *plugin, resolved map[string]string, err error) {
	w.mu.Lock()
	c = w.configs.Connector(name)
	w.mu.Unlock()
	if c == nil {
		return nil, nil, nil, notFound(name)
	}
	if p, err = w.pluginOf(c.Config); err != nil {
		return nil, nil, nil, err
	}
	resolved, err = w.engine.Resolve(c.Config)
	return c, p, resolved, err
}

// setOffsets moves a connector that is stopped: to what the body says, or, if reset, to the beginning.
func (w *Worker) setOffsets(ctx context.Context, name string, body []byte, reset bool) (Response, error) {
	w.herding.Lock()
	defer w.herding.Unlock()
	c, p, resolved, err := w.known(name)
	if err != nil {
		return Response{}, err
	}
	if c.Target != herder.Stopped || len(c.Tasks) > 0 {
		return Response{}, failed(http.StatusBadRequest, "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified connector by issuing a 'PUT' request to the '/connectors/%s/stop' endpoint", name)
	}
	if err := w.settled(ctx, name); err != nil {
		return Response{}, err
	}
	done := "altered"
	switch {
	case reset:
		done = "reset"
		err = w.resetOffsets(ctx, name, c.Config, resolved, p)
	case p.kind == sinkKind:
		err = w.setSinkOffsets(ctx, name, resolved, body)
	default:
		err = w.setPositions(ctx, name, c.Config, resolved, p, body)
	}
	if err != nil {
		return Response{}, err
	}
	return answerJSON(http.StatusOK, struct {
		Message string `json:"message"`
	}{"The offsets for this connector have been " + done + " successfully"}), nil
}

func readPositions(body []byte) ([]position, error) {
	var in positions
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&in); err != nil {
		return nil, failed(http.StatusInternalServerError, "the body cannot be read: %v", err)
	}
	if len(in.Offsets) == 0 {
		return nil, failed(http.StatusBadRequest, "Partitions / offsets need to be provided for an alter offsets request")
	}
	return in.Offsets, nil
}

func (w *Worker) resetOffsets(ctx context.Context, name string, config, resolved map[string]string, p *plugin) error {
	if p.kind == sinkKind {
		return w.engine.DeleteSinkOffsets(ctx, name, resolved)
	}
	all, err := w.engine.Positions(ctx, name, config)
	if err != nil {
		return err
	}
	for i := range all {
		all[i].Offset = nil
	}
	return w.movePositions(ctx, name, config, resolved, p, all)
}

func (w *Worker) setPositions(ctx context.Context, name string, config, resolved map[string]string, p *plugin, body []byte) error {
	in, err := readPositions(body)
	if err != nil {
		return err
	}
	all := make([]sdk.Position, len(in))
	for i, at := range in {
		if at.Partition == nil {
			return failed(http.StatusInternalServerError, "Partition objects cannot be null")
		}
		all[i] = sdk.Position(at)
	}
	return w.movePositions(ctx, name, config, resolved, p, all)
}

func (w *Worker) movePositions(ctx context.Context, name string, config, resolved map[string]string, p *plugin, all []sdk.Position) error {
	if checker, ok := p.connector.(sdk.OffsetChecker); ok {
		values, _ := sdk.Parse(p.options, resolved)
		if err := w.guarded(func() error { return checker.CheckPositions(values, all) }); err != nil {
			return err
		}
	}
	return w.engine.SetPositions(ctx, name, config, all)
}

func (w *Worker) setSinkOffsets(ctx context.Context, name string, resolved map[string]string, body []byte) error {
	in, err := readPositions(body)
	if err != nil {
		return err
	}
	to := map[sdk.TopicPartition]int64{}
	for _, at := range in {
		topic, named := at.Partition[sinkTopic].(string)
		partition, numbered := sdk.Int64Of(at.Partition, sinkPartition)
		if text, ok := at.Partition[sinkPartition].(string); ok { // Kafka's workers take it in quotes as well
			_, err := fmt.Sscan(text, &partition)
			numbered = err == nil
		}
		if !named || !numbered {
			return failed(http.StatusBadRequest, "The partition for a sink connector offset must contain the keys '%s' and '%s'", sinkTopic, sinkPartition)
		}
		offset := int64(-1)
		if at.Offset != nil {
			var ok bool
			if offset, ok = sdk.Int64Of(at.Offset, sinkOffset); !ok {
				return failed(http.StatusBadRequest, "The offset for a sink connector should either be null or contain the key '%s'", sinkOffset)
			}
			if offset < 0 {
				return failed(http.StatusInternalServerError, "Failed to modify offsets for sink connector %s", name)
			}
		}
		to[sdk.TopicPartition{Topic: topic, Partition: int32(partition)}] = offset
	}
	return w.engine.SetSinkOffsets(ctx, name, resolved, to)
}
