package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

const (
	magic   = "WEIRPEER"
	version = 3
)

// What a connection is for.
const (
	forFrames   = 1
	forQuestion = 2
)

// Anybody is asked when it is not known who listens at an address.
const Anybody int32 = -1

// errForeign says that what came is not of this protocol.
var errForeign = errors.New("this is not a node's message")

// errNotYet says that the other node does not know its cluster yet.
var errNotYet = errors.New("the node is still starting")

// notYet is what it answers then, in place of a length.
const notYet = 255

// RefusedError is why a node does not talk to another. It stays so until somebody changes something.
type RefusedError struct{ Why string }

func (e *RefusedError) Error() string { return e.Why }

// greeting says who connects, to whom, and what for.
type greeting struct {
	use      byte
	cluster  string
	from, to int32
	address  string // where who connects is reached; "": it does not say
}

func (g greeting) bytes() []byte {
	b := append([]byte(magic), version, g.use, byte(len(g.cluster)))
	b = append(b, g.cluster...)
	b = binary.BigEndian.AppendUint32(b, uint32(g.from))
	b = binary.BigEndian.AppendUint32(b, uint32(g.to))
	b = append(b, byte(len(g.address)))
	return append(b, g.address...)
}

// greet says hello on a new connection and waits for the answer.
func greet(c net.Conn, g greeting) error {
	if err := c.SetDeadline(time.Now().Add(helloTime)); err != nil {
		return err
	}
	if _, err := c.Write(g.bytes()); err != nil {
		return err
	}
	var length [1]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return err
	}
	if length[0] == notYet {
		return errNotYet
	}
	if length[0] > 0 {
		why := make([]byte, length[0])
		if _, err := io.ReadFull(c, why); err != nil {
			return err
		}
		return &RefusedError{string(why)}
	}
	return c.SetDeadline(time.Time{})
}

// welcome hears who connects, and answers whether it may.
func (t *Transport) welcome(c net.Conn) (g greeting, err error) {
	if err := c.SetDeadline(time.Now().Add(helloTime)); err != nil {
		return g, err
	}
	var b [len(magic) + 3]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return g, err
	}
	if string(b[:len(magic)]) != magic {
		return g, errForeign
	}
	if v := b[len(magic)]; v != version {
		return g, t.refuse(c, "node %d speaks version %d of the nodes' protocol, not %d", t.cfg.Self, version, v)
	}
	rest := make([]byte, int(b[len(magic)+2])+9)
	if _, err := io.ReadFull(c, rest); err != nil {
		return g, err
	}
	ids := rest[len(rest)-9:]
	address := make([]byte, ids[8])
	if _, err := io.ReadFull(c, address); err != nil {
		return g, err
	}
	g = greeting{
		use: b[len(magic)+1], cluster: string(rest[:len(rest)-9]), address: string(address),
		from: int32(binary.BigEndian.Uint32(ids)), to: int32(binary.BigEndian.Uint32(ids[4:])),
	}
	switch own := t.cfg.ClusterID(); {
	case g.use != forFrames && g.use != forQuestion:
		return g, errForeign
	case g.use == forFrames && own == "":
		_, err := c.Write([]byte{notYet})
		return g, errors.Join(errNotYet, err)
	case g.cluster != own && g.cluster != "" && own != "" || g.use == forFrames && g.cluster == "":
		return g, t.refuse(c, "node %d belongs to cluster %s, not to %s", t.cfg.Self, own, g.cluster)
	case g.to != t.cfg.Self && (g.to != Anybody || g.use == forFrames):
		return g, t.refuse(c, "this is node %d, not node %d: check the addresses in controller.quorum.voters", t.cfg.Self, g.to)
	case g.from == t.cfg.Self:
		return g, t.refuse(c, "node id %d is used twice: give each node a node.id of its own", g.from)
	}
	if _, err := c.Write([]byte{0}); err != nil {
		return g, err
	}
	return g, c.SetDeadline(time.Time{})
}

func (t *Transport) refuse(c net.Conn, format string, args ...any) error {
	why := fmt.Sprintf(format, args...)
	why = why[:min(len(why), notYet-1)]
	_, err := c.Write(append([]byte{byte(len(why))}, why...))
	return errors.Join(&RefusedError{why}, err)
}

// Ask sends a question to whoever listens at an address, over a connection of its own, and gives the answer. It is for nodes that
// do not know each other yet; to may be Anybody.
func (t *Transport) Ask(ctx context.Context, address string, to int32, question []byte) ([]byte, error) {
	return ask(ctx, t.cfg.Dial, address, greeting{use: forQuestion, cluster: t.cfg.ClusterID(), from: t.cfg.Self, to: to}, question)
}

// Ask sends a question of a node that has no number yet.
func Ask(ctx context.Context, address string, question []byte) ([]byte, error) {
	return ask(ctx, dialTCP, address, greeting{use: forQuestion, from: Anybody, to: Anybody}, question)
}

func ask(ctx context.Context, dial func(context.Context, string) (net.Conn, error), address string, g greeting, question []byte) ([]byte, error) {
	c, err := dial(ctx, address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if err := greet(c, g); err != nil {
		return nil, err
	}
	if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(question))), question...)); err != nil {
		return nil, err
	}
	return readAlone(c)
}

// answer answers the one question of a connection.
func (t *Transport) answer(c net.Conn, from int32) error {
	if err := c.SetReadDeadline(time.Now().Add(helloTime)); err != nil {
		return err
	}
	question, err := readAlone(c)
	if err != nil {
		return err
	}
	answer := t.cfg.Answer(from, question)
	if err := c.SetWriteDeadline(time.Now().Add(helloTime)); err != nil {
		return err
	}
	_, err = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(answer))), answer...))
	return err
}
