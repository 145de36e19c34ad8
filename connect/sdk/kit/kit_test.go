package kit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// numbers is a source of numbers. If it lies, its positions are one ahead of its records.
type numbers struct{ lies bool }

const most = 3000

func (numbers) Info() sdk.Info { return sdk.Info{Class: "Numbers", Version: "1"} }
func (numbers) Options() []sdk.Option {
	return []sdk.Option{{Name: "topic", Kind: sdk.StringOption, Required: true}}
}
func (n numbers) NewTask() sdk.SourceTask { return &numbersTask{numbers: n} }

type numbersTask struct {
	numbers
	topic string
	next  int64
	from  map[string]any
}

func (t *numbersTask) Start(ctx context.Context, c sdk.SourceContext, v sdk.Values) error {
	t.topic, t.from = v.String("topic"), map[string]any{"numbers": "all"}
	at, err := c.Position(ctx, t.from)
	t.next, _ = sdk.Int64Of(at, "next")
	return err
}

func (t *numbersTask) Poll(ctx context.Context) ([]*sdk.Record, error) {
	select {
	case <-time.After(time.Millisecond):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var out []*sdk.Record
	for ; t.next < most && len(out) < 20; t.next++ {
		at := t.next + 1
		if t.lies {
			at += 30
		}
		out = append(out, &sdk.Record{Topic: t.topic, Partition: -1, Value: fmt.Sprint(t.next), At: &sdk.Position{Partition: t.from, Offset: map[string]any{"next": at}}})
	}
	return out, nil
}

func (t *numbersTask) Stop() error { return nil }

// list is a sink that keeps what it gets.
type list struct {
	mu  *sync.Mutex
	got *[]string
}

func (list) Info() sdk.Info          { return sdk.Info{Class: "List", Version: "1"} }
func (list) Options() []sdk.Option   { return nil }
func (l list) NewTask() sdk.SinkTask { return l }

func (list) Start(context.Context, sdk.SinkContext, sdk.Values) error { return nil }
func (list) Stop() error                                              { return nil }
func (l list) Put(_ context.Context, records []*sdk.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		*l.got = append(*l.got, fmt.Sprint(r.Value))
	}
	return nil
}

func wanted() (want []string) {
	for i := range most {
		want = append(want, fmt.Sprint(i))
	}
	return want
}

// TestCrash: a source and a sink that are crashed lose nothing, and the kit sees it when one does.
func TestCrash(t *testing.T) {
	k := New(t, Topic("numbers", 1), Topic("lies", 1))
	last := fmt.Sprint(most - 1)
	there := func(topic string) func() bool {
		return func() bool { return slices.Contains(k.Values(topic), last) }
	}
	k.Crash(numbers{}, map[string]string{"topic": "numbers"}, there("numbers"))
	if err := Delivered(wanted(), k.Values("numbers")); err != nil {
		t.Error(err)
	}
	if all := k.Positions(numbers{}); len(all) != 1 {
		t.Errorf("positions: %v", all)
	}
	l := list{&sync.Mutex{}, &[]string{}}
	k.Crash(l, map[string]string{"topics": "numbers"}, func() bool { return k.Kept(l, "numbers") })
	if err := Delivered(wanted(), *l.got); err != nil {
		t.Error(err)
	}
}

// TestLiar: a source whose positions are ahead of its records is found out.
func TestLiar(t *testing.T) {
	k := New(t, Topic("lies", 1))
	liar := numbers{lies: true}
	config := map[string]string{"topic": "lies"}
	r := k.Start(liar, config)
	k.Await("a position", func() bool { return len(k.Positions(liar)) > 0 })
	r.Stop()
	r = k.Start(liar, config)
	k.Await("the end", func() bool { return slices.Contains(k.Values("lies"), fmt.Sprint(most-1)) })
	r.Stop()
	if Delivered(wanted(), k.Values("lies")) == nil {
		t.Error("it was not found out")
	}
}

// TestDelivered: what is in order, and what is not.
func TestDelivered(t *testing.T) {
	for _, test := range []struct{ got, wrong string }{
		{"a b c d", ""},
		{"a b a b c d", ""},
		{"a b c b c d c d", ""},
		{"a b c", `1 of 4 are missing: "d"`},
		{"a c b d", `"c" arrived before "b"`},
		{"a b c a c d", `"c", which came again`},
		{"a b x c d", `"x"`},
	} {
		err := Delivered([]string{"a", "b", "c", "d"}, strings.Fields(test.got))
		if (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%s: %v, not %q", test.got, err, test.wrong)
		}
	}
}

// failing is a sink that does not start.
type failing struct{ list }

func (failing) NewTask() sdk.SinkTask { return failing{} }
func (failing) Start(context.Context, sdk.SinkContext, sdk.Values) error {
	return errors.New("no luck")
}

// TestFailure: the kit tells what a worker would.
func TestFailure(t *testing.T) {
	k := New(t, Topic("in", 1))
	cause, text := k.Start(failing{}, map[string]string{"topics": "in"}).Failure()
	if cause != sdk.Unknown || !strings.Contains(text, "no luck") {
		t.Errorf("%s: %s", cause, text)
	}
}
