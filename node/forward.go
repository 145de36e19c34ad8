package node

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/wire"
	"github.com/weir/weir/cluster"
	"github.com/weir/weir/coordinator"
	"github.com/weir/weir/peers"
)

const (
	// controllerWait is how long a request waits for there to be a controller that can be reached.
	controllerWait = 10 * time.Second
	// controllerRetry is the time between attempts to find it.
	controllerRetry = 50 * time.Millisecond
)

// Requests to the controller, as they go from node to node, big-endian:
//
//	1  a broker registers: JSON
//	2  producer ids are asked for
//	3  a client's request: key int16, version int16, own uint8, body
//	4  the replicas of a partition are those that were wanted: JSON
//	5  a partition begins with nothing: JSON
//
// and what is answered:
//
//	0  image version int64, the answer: JSON, or the response's body
//	1  not done: this node is not the controller, or not yet
//	2  perhaps done, and not known
const (
	askRegister byte = 1 + iota
	askProducerIDs
	askClient
	askReached
	askBegin
)

const (
	answered byte = iota
	notDone
	notKnown
)

// errNotDone says that the controller has not seen a request.
var errNotDone = errors.New("the node asked is not the controller")

// encodeRequest writes a request to the controller.
func encodeRequest(request any) []byte {
	text := func(kind byte) []byte {
		b, err := json.Marshal(request)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		return append([]byte{kind}, b...)
	}
	switch r := request.(type) {
	case cluster.RegisterBroker:
		return text(askRegister)
	case cluster.ReplicasReached:
		return text(askReached)
	case cluster.BeginAnew:
		return text(askBegin)
	case cluster.AllocateProducerIDs:
		return []byte{askProducerIDs}
	case cluster.Request:
		b := binary.BigEndian.AppendUint16([]byte{askClient}, uint16(r.Body.Key()))
		b = binary.BigEndian.AppendUint16(b, uint16(r.Body.GetVersion()))
		own := byte(0)
		if r.Own {
			own = 1
		}
		return r.Body.AppendTo(append(b, own))
	}
	panic(fmt.Sprintf("BUG: %T cannot be sent to the controller", request))
}

// decodeRequest reads what encodeRequest wrote.
func decodeRequest(b []byte) (any, error) {
	if len(b) == 0 {
		return nil, errors.New("it is empty")
	}
	kind, b := b[0], b[1:]
	switch kind {
	case askRegister:
		var r cluster.RegisterBroker
		err := json.Unmarshal(b, &r)
		return r, err
	case askReached:
		var r cluster.ReplicasReached
		err := json.Unmarshal(b, &r)
		return r, err
	case askBegin:
		var r cluster.BeginAnew
		err := json.Unmarshal(b, &r)
		return r, err
	case askProducerIDs:
		return cluster.AllocateProducerIDs{}, nil
	case askClient:
		if len(b) < 5 {
			return nil, errors.New("it is too short")
		}
		key, version, own := int16(binary.BigEndian.Uint16(b)), int16(binary.BigEndian.Uint16(b[2:])), b[4] == 1
		body, err := wire.ParseBody(wire.Header{Key: key, Version: version}, b[5:])
		return cluster.Request{Body: body, Own: own}, err
	}
	return nil, fmt.Errorf("its kind is %d", kind)
}

func encodeReply(reply any, version int64, err error) []byte {
	switch {
	case errors.Is(err, coordinator.ErrNotLeader), errors.Is(err, coordinator.ErrLoading):
		return []byte{notDone}
	case err != nil:
		return []byte{notKnown}
	}
	b := binary.BigEndian.AppendUint64([]byte{answered}, uint64(version))
	if resp, ok := reply.(kmsg.Response); ok {
		return resp.AppendTo(b)
	}
	text, err := json.Marshal(reply)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return append(b, text...)
}

// decodeReply reads the reply to a request.
func decodeReply(request any, b []byte) (reply any, version int64, err error) {
	switch {
	case len(b) == 1 && b[0] == notDone:
		return nil, 0, errNotDone
	case len(b) < 9 || b[0] != answered:
		return nil, 0, coordinator.ErrLost
	}
	version, b = int64(binary.BigEndian.Uint64(b[1:])), b[9:]
	switch r := request.(type) {
	case cluster.RegisterBroker:
		var registered cluster.BrokerRegistered
		err = json.Unmarshal(b, &registered)
		return registered, version, err
	case cluster.BeginAnew:
		var begun cluster.BegunAnew
		err = json.Unmarshal(b, &begun)
		return begun, version, err
	case cluster.AllocateProducerIDs:
		var ids cluster.ProducerIDs
		err = json.Unmarshal(b, &ids)
		return ids, version, err
	case cluster.Request:
		resp := r.Body.ResponseKind()
		resp.SetVersion(r.Body.GetVersion())
		return resp, version, resp.ReadFrom(b)
	}
	return nil, version, nil
}

// Submit hands a request to the controller, wherever it is. Its answer is given when what it changed is in effect on this node, so
// that whoever has it sees the change.
func (m *metadata) Submit(request any, done func(any, error)) {
	m.submit(request, time.Now().Add(controllerWait), done)
}

func (m *metadata) submit(request any, until time.Time, done func(any, error)) {
	again := func(err error) {
		if time.Now().After(until) || m.isStopped() {
			done(nil, err)
			return
		}
		time.AfterFunc(controllerRetry, func() { m.submit(request, until, done) })
	}
	leader := m.log.Leadership().Broker
	if leader != m.self && leader >= 0 {
		m.peers.Ask(leader, encodeRequest(request), func(b []byte, err error) {
			switch {
			case errors.Is(err, peers.ErrUnreachable):
				again(coordinator.ErrNotLeader)
				return
			case err != nil:
				done(nil, coordinator.ErrLost)
				return
			}
			reply, version, err := decodeReply(request, b)
			if errors.Is(err, errNotDone) {
				again(coordinator.ErrNotLeader)
				return
			}
			m.answer(version, func() { done(reply, err) })
		})
		return
	}
	m.runtime.Submit(request, func(reply any, err error) {
		switch {
		case errors.Is(err, coordinator.ErrNotLeader), errors.Is(err, coordinator.ErrLoading):
			again(err)
		default:
			m.answer(0, func() { done(reply, err) })
		}
	})
}

// handle answers another node's request to the controller.
func (m *metadata) handle(_ int32, b []byte, reply func([]byte)) {
	request, err := decodeRequest(b)
	if err != nil {
		m.logger.Error("a request of another node to the controller cannot be read", "error", err)
		reply([]byte{notKnown})
		return
	}
	m.runtime.Submit(request, func(answer any, err error) {
		m.mu.Lock()
		version := m.published
		m.mu.Unlock()
		reply(encodeReply(answer, version, err))
	})
}
