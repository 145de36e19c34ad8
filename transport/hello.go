package transport

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/weir/weir/replication"
)

const (
	magic   = "WEIRPEER"
	version = 1
)

// errForeign says that what came is not of this protocol.
var errForeign = errors.New("this is not a node's message")

// refusedError is why a node does not talk to another.
type refusedError struct{ why string }

func (e *refusedError) Error() string { return e.why }

// hello says who connects, and to whom.
func hello(cluster string, from, to replication.NodeID) []byte {
	b := append([]byte(magic), version, byte(len(cluster)))
	b = append(b, cluster...)
	b = binary.BigEndian.AppendUint64(b, from)
	return binary.BigEndian.AppendUint64(b, to)
}

// greet says hello on a new connection and waits for the answer.
func (p *peer) greet(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(helloTime)); err != nil {
		return err
	}
	if _, err := c.Write(hello(p.t.cfg.ClusterID, p.t.cfg.Self, p.id)); err != nil {
		return err
	}
	var length [1]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return err
	}
	if length[0] > 0 {
		why := make([]byte, length[0])
		if _, err := io.ReadFull(c, why); err != nil {
			return err
		}
		return &refusedError{string(why)}
	}
	return c.SetDeadline(time.Time{})
}

// welcome hears who connects, and answers whether it may.
func (t *Transport) welcome(c net.Conn) (from replication.NodeID, err error) {
	if err := c.SetDeadline(time.Now().Add(helloTime)); err != nil {
		return 0, err
	}
	var b [len(magic) + 2]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return 0, err
	}
	if string(b[:len(magic)]) != magic {
		return 0, errForeign
	}
	if v := b[len(magic)]; v != version {
		return 0, t.refuse(c, "node %d speaks version %d of the nodes' protocol, not %d", t.cfg.Self, version, v)
	}
	rest := make([]byte, int(b[len(magic)+1])+16)
	if _, err := io.ReadFull(c, rest); err != nil {
		return 0, err
	}
	cluster, ids := string(rest[:len(rest)-16]), rest[len(rest)-16:]
	from, to := binary.BigEndian.Uint64(ids), binary.BigEndian.Uint64(ids[8:])
	switch {
	case cluster != t.cfg.ClusterID:
		return from, t.refuse(c, "node %d belongs to cluster %s, not to %s", t.cfg.Self, t.cfg.ClusterID, cluster)
	case to != t.cfg.Self:
		return from, t.refuse(c, "this is node %d, not node %d: check the addresses in controller.quorum.voters", t.cfg.Self, to)
	case from == t.cfg.Self:
		return from, t.refuse(c, "node id %d is used twice: give each node a node.id of its own", from)
	}
	if _, err := c.Write([]byte{0}); err != nil {
		return from, err
	}
	return from, c.SetDeadline(time.Time{})
}

func (t *Transport) refuse(c net.Conn, format string, args ...any) error {
	why := fmt.Sprintf(format, args...)
	why = why[:min(len(why), 255)]
	_, err := c.Write(append([]byte{byte(len(why))}, why...))
	return errors.Join(&refusedError{why}, err)
}

// frameReader reads frames.
type frameReader struct{ r *bufio.Reader }

func newFrameReader(r io.Reader) *frameReader { return &frameReader{bufio.NewReaderSize(r, 64<<10)} }

// next gives a frame, which whoever gets it may keep. Memory is taken as its bytes arrive.
func (f *frameReader) next() ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(f.r, length[:]); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(length[:]))
	if n > frameMax {
		return nil, fmt.Errorf("%w: a frame claims %d bytes", errForeign, n)
	}
	if n <= 1<<20 {
		b := make([]byte, n)
		_, err := io.ReadFull(f.r, b)
		return b, err
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, f.r, n); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
