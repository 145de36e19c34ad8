package weirtest

import (
	"fmt"
	"net"
	"reflect"
	"slices"
	"sync"
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

// Action is what becomes of a request.
type Action struct {
	delay  time.Duration
	hangUp bool
	cut    bool
	keep   int
	edit   func(kmsg.Response)
	err    *kerr.Error
	answer kmsg.Response
}

// Pass lets a request through. It is the zero Action.
func Pass() Action { return Action{} }

// Delay lets a request through after a while. Those behind it on its connection wait, too, as they do in Kafka. A really long
// one is a request that is never answered.
func Delay(d time.Duration) Action { return Action{delay: d} }

// Fail answers a request with an error, in every place that its answer has for one, instead of doing it. Where there is no
// place, as in a Metadata request of an old version that names no topics, the connection ends.
func Fail(err *kerr.Error) Action { return Action{err: err} }

// Answer gives a request this answer instead of doing it. It must be of the request's API, and gets its version.
func Answer(answer kmsg.Response) Action { return Action{answer: answer} }

// Edit does a request, and changes the answer on its way to the client. The function may be called from several goroutines at
// once.
func Edit(change func(kmsg.Response)) Action { return Action{edit: change} }

// CutRequest breaks a request's connection instead of doing it.
func CutRequest() Action { return Action{hangUp: true} }

// CutAnswer does a request and breaks the connection after so many bytes of the answer. With 0 bytes it is done and the client
// never learns.
func CutAnswer(bytes int) Action { return Action{cut: true, keep: max(bytes, 0)} }

// decides tells whether an action is more than a delay.
func (a Action) decides() bool {
	return a.hangUp || a.cut || a.edit != nil || a.err != nil || a.answer != nil
}

// Hook is something that is done to requests, and counts them.
type Hook struct {
	node *Node
	key  kmsg.Key
	most int // how many it is for; 0: all
	ask  func(Request) Action

	mu   sync.Mutex
	more sync.Cond // signalled when hits grows, or a wait for it ends
	hits int
}

// OnRequest asks a function about every request of an API, or of Any, before the node gets it. Hooks are asked in the order in
// which they came; delays add up, and of the other actions the first counts. The function may be called from several
// goroutines at once, and keeps the request's connection waiting. A hook lasts until its Remove, or until Heal.
func (n *Node) OnRequest(key kmsg.Key, ask func(Request) Action) *Hook { return n.hook(0, key, ask) }

// Every does something to all requests of an API, or of Any.
func (n *Node) Every(key kmsg.Key, action Action) *Hook {
	return n.hook(0, key, func(Request) Action { return action })
}

// Next does something to the next few requests of an API, or of Any.
func (n *Node) Next(count int, key kmsg.Key, action Action) *Hook {
	if count < 1 {
		panic(fmt.Sprintf("weirtest: the next %d requests", count))
	}
	return n.hook(count, key, func(Request) Action { return action })
}

func (n *Node) hook(most int, key kmsg.Key, ask func(Request) Action) *Hook {
	h := &Hook{node: n, key: key, most: most, ask: ask}
	h.more.L = &h.mu
	n.wire.mu.Lock()
	defer n.wire.mu.Unlock()
	n.wire.hooks = append(n.wire.hooks, h)
	return h
}

// Hits is how many requests the hook has met.
func (h *Hook) Hits() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hits
}

// Await waits until the hook has met so many requests, counted from its beginning. The test fails if they do not come.
func (h *Hook) Await(hits int) {
	h.node.t.Helper()
	late := false
	timer := time.AfterFunc(patience, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		late = true
		h.more.Broadcast()
	})
	defer timer.Stop()
	h.mu.Lock()
	for h.hits < hits && !late {
		h.more.Wait()
	}
	got := h.hits
	h.mu.Unlock()
	if got < hits {
		h.node.t.Fatalf("%d requests were to come, %d came", hits, got)
	}
}

// Remove ends the hook. It can be done again.
func (h *Hook) Remove() {
	w := h.node.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hooks = slices.DeleteFunc(slices.Clone(w.hooks), func(other *Hook) bool { return other == h })
}

// meet counts a request, if the hook is about it.
func (h *Hook) meet(r Request) bool {
	if h.key != Any && h.key != r.Key {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.most > 0 && h.hits == h.most {
		return false
	}
	h.hits++
	h.more.Broadcast()
	return true
}

// ask asks all hooks about a request.
func (w *wire) ask(r Request) Action {
	w.mu.Lock()
	hooks := w.hooks
	w.mu.Unlock()
	var out Action
	for _, h := range hooks {
		if !h.meet(r) {
			continue
		}
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
// answer hangs up.
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
			a.hangUp = true
			return nil
		}
		return resp
	}
	return nil
}
