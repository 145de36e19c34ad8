package runtime

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/weirtest"
)

// verbatimSource gives the same records either way, and converts them as they are unless told otherwise.
type verbatimSource struct {
	fakeSource
	landed atomic.Int64
}

func (f *verbatimSource) NewTask() sdk.SourceTask {
	return &verbatimTask{fakeSourceTask: fakeSourceTask{f: &f.fakeSource}, v: f}
}

func (f *verbatimSource) Defaults() map[string]string {
	return map[string]string{"key.converter": bytesConverter, "value.converter": bytesConverter, "header.converter": bytesConverter}
}

type verbatimTask struct {
	fakeSourceTask
	v     *verbatimSource
	given bool
}

func (t *verbatimTask) PollVerbatim(ctx context.Context) ([]Stretch, error) {
	if t.given {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	t.given = true
	var out []Stretch
	for n := range 3 {
		var records []*kgo.Record
		for i := range 2 {
			records = append(records, &kgo.Record{Topic: "out", Partition: 1, Value: fmt.Append(nil, "verbatim ", 2*n+i)})
		}
		out = append(out, Stretch{records, &sdk.Position{Partition: partition, Offset: map[string]any{"at": int64(n)}}, t.v.landed.Store})
	}
	return out, nil
}

func (t *verbatimTask) BatchLimit(topic string) (int32, bool) { return 2_000_000, topic == "out" }

// TestVerbatim: a task that has records as bytes hands over stretches of them, and hears where they landed; if they are to be
// transformed, it is polled as others are.
func TestVerbatim(t *testing.T) {
	t.Run("as they are", func(t *testing.T) {
		p := newPlace(t, nil, weirtest.Topic("out", 2, "max.message.bytes=2000000"))
		f := &verbatimSource{}
		f.landed.Store(-1)
		task := p.start(f, nil)
		p.eventually("the position", func() bool { return p.at() == 2 })
		stop(task)
		if diff := cmp.Diff([]string{"verbatim 0", "verbatim 1", "verbatim 2", "verbatim 3", "verbatim 4", "verbatim 5"}, p.node.Consume("out", 6)); diff != "" {
			t.Error(diff)
		}
		if at := f.landed.Load(); at != 5 {
			t.Errorf("the last landed at %d", at)
		}
		if d := task.Details(); d.Records != 6 || d.Bytes != 60 {
			t.Errorf("counted as %+v", d)
		}
	})
	t.Run("transformed", func(t *testing.T) {
		p := newPlace(t, nil, weirtest.Topic("out", 1))
		f := &verbatimSource{}
		f.records = []*sdk.Record{record("elsewhere", []byte("polled"), 7)}
		task := p.start(f, map[string]string{"transforms": "x", "transforms.x.type": "org.apache.kafka.connect.transforms.RegexRouter", "transforms.x.regex": ".*", "transforms.x.replacement": "out"})
		p.eventually("the position", func() bool { return p.at() == 7 })
		stop(task)
		if diff := cmp.Diff([]string{"polled"}, p.node.Consume("out", 1)); diff != "" {
			t.Error(diff)
		}
	})
}
