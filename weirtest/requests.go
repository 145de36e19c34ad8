package weirtest

import (
	"fmt"
	"net"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Request is a request on its way to the node.
type Request struct {
	Key      kmsg.Key // which API
	Version  int16
	ClientID string // "": none
	Client   net.Addr
	Body     kmsg.Request // to look at: changing it changes nothing
}

// Any stands for the requests of all APIs.
const Any = kmsg.Key(-1)

// Action is what becomes of a request. The zero Action lets it through.
type Action struct {
	delay  time.Duration
	hangup bool
	cut    bool
	keep   int
	err    *kerr.Error
	answer kmsg.Response
}

// Delay lets a request through after a while. Those behind it on its connection wait, too, as they do in Kafka. A really long
// one is a request that is never answered.
func Delay(d time.Duration) Action { return Action{delay: d} }

// Fail answers a request with an error, in every place that its answer has for one, instead of doing it. Where there is no
// place, as in a Metadata request of an old version that names no topics, the connection ends.
func Fail(err *kerr.Error) Action { return Action{err: err} }

// Answer gives a request this answer instead of doing it. It must be of the request's API, and gets its version.
func Answer(answer kmsg.Response) Action { return Action{answer: answer} }

// Hangup breaks a request's connection instead of doing it.
func Hangup() Action { return Action{hangup: true} }

// CutAnswer does a request and breaks the connection after so many bytes of the answer. With 0 bytes it is done and the client
// never learns.
func CutAnswer(bytes int) Action { return Action{cut: true, keep: max(bytes, 0)} }

// decides tells whether an action is more than a delay.
func (a Action) decides() bool { return a.hangup || a.cut || a.err != nil || a.answer != nil }

// hook is asked about every request.
type hook struct{ ask func(Request) Action }

// OnRequest asks a function about every request that the node would get, until remove or Heal. If there are several, they
// are asked in the order in which they came, delays add up, and of the other actions the first counts. It may be called
// from several goroutines at once, and keeps the request's connection waiting.
func (n *Node) OnRequest(ask func(Request) Action) (remove func()) {
	h := &hook{ask}
	n.wire.mu.Lock()
	defer n.wire.mu.Unlock()
	n.wire.hooks = append(n.wire.hooks, h)
	return func() {
		n.wire.mu.Lock()
		defer n.wire.mu.Unlock()
		n.wire.hooks = slices.DeleteFunc(slices.Clone(n.wire.hooks), func(other *hook) bool { return other == h })
	}
}

// Every does something to all requests of an API, or of Any, until remove or Heal.
func (n *Node) Every(key kmsg.Key, action Action) (remove func()) {
	return n.OnRequest(func(r Request) Action {
		if key == Any || key == r.Key {
			return action
		}
		return Action{}
	})
}

// Next does something to the next few requests of an API, or of Any. left tells how many of them have not come yet.
func (n *Node) Next(count int, key kmsg.Key, action Action) (left func() int) {
	var come atomic.Int64
	n.OnRequest(func(r Request) Action {
		if (key == Any || key == r.Key) && come.Add(1) <= int64(count) {
			return action
		}
		return Action{}
	})
	return func() int { return max(count-int(come.Load()), 0) }
}

// ask asks all hooks about a request.
func (w *wire) ask(r Request) Action {
	w.mu.Lock()
	hooks := w.hooks
	w.mu.Unlock()
	var out Action
	for _, h := range hooks {
		a := h.ask(r)
		a.delay += out.delay
		if out.decides() {
			out.delay = a.delay
		} else {
			out = a
		}
	}
	return out
}

// answerTo gives what a request is answered with instead of being done; nil: it is done. An error without a place in the
// answer becomes a hangup.
func (a *Action) answerTo(req kmsg.Request) kmsg.Response {
	switch {
	case a.answer != nil:
		if a.answer.Key() != req.Key() {
			panic(fmt.Sprintf("weirtest: a %s request cannot be answered with a %s response", kmsg.NameForKey(req.Key()), kmsg.NameForKey(a.answer.Key())))
		}
		own := reflect.New(reflect.TypeOf(a.answer).Elem()) // others may be sending it in another version
		own.Elem().Set(reflect.ValueOf(a.answer).Elem())
		resp := own.Interface().(kmsg.Response)
		resp.SetVersion(req.GetVersion())
		return resp
	case a.err != nil:
		resp, ok := errorAnswer(req, a.err.Code)
		if !ok {
			a.hangup = true
			return nil
		}
		return resp
	}
	return nil
}
