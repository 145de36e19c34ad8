package test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func askApiVersions(n *node, version int16) *kmsg.ApiVersionsResponse {
	n.t.Helper()
	return mustAsk[*kmsg.ApiVersionsResponse](n, meaningful(18, "", [16]byte{}), version)
}

// TestBehaviour001ApiVersionsFallback: version 127 is answered in the layout of version 0 with error 35 and key 18 alone, and
// the connection stays usable.
func TestBehaviour001ApiVersionsFallback(t *testing.T) {
	n := shared(t)
	c, err := n.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(append(frame(18, 127, []byte{0}), frame(18, 0, nil)...)); err != nil {
		t.Fatal(err)
	}
	answer := func() *kmsg.ApiVersionsResponse {
		t.Helper()
		b, err := c.frame()
		resp := kmsg.NewPtrApiVersionsResponse()
		if err != nil || resp.ReadFrom(b[4:]) != nil || binary.BigEndian.Uint32(b) != 7 {
			t.Fatalf("answer %x: %v", b, err)
		}
		return resp
	}
	if got := answer(); got.ErrorCode != 35 || len(got.ApiKeys) != 1 || got.ApiKeys[0].ApiKey != 18 || got.ApiKeys[0].MaxVersion < 4 {
		t.Errorf("answer %+v", got)
	}
	if got := answer(); got.ErrorCode != 0 || len(got.ApiKeys) < 20 {
		t.Errorf("the connection is not usable: %+v", got)
	}
}

func TestBehaviour002ClientSoftwareName(t *testing.T) {
	n := shared(t)
	for _, c := range []struct {
		name, version string
		code          int16
	}{
		{"@@", "1.0", 42}, {"apache-kafka-java", "@@", 42}, {"", "1.0", 42}, {"x", "", 42}, {"-x", "1", 42}, {"x-", "1", 42}, {"a b", "1", 42},
		{"apache-kafka-java", "4.3.1", 0}, {"a.b-c", "1-SNAPSHOT", 0}, {"x", "1", 0},
	} {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = c.name, c.version
		if got := mustAsk[*kmsg.ApiVersionsResponse](n, req, 3); got.ErrorCode != c.code || (len(got.ApiKeys) > 0) != (c.code == 0) {
			t.Errorf("%q %q: %d and %d apis", c.name, c.version, got.ErrorCode, len(got.ApiKeys))
		}
	}
}

// TestBehaviour003UnknownRequestsCloseTheConnection: an unknown key or version, or a malformed request, gets no byte.
func TestBehaviour003UnknownRequestsCloseTheConnection(t *testing.T) {
	n := shared(t)
	for name, b := range map[string][]byte{
		"unknown key":         frame(999, 0, nil),
		"negative key":        frame(-1, 0, nil),
		"controller-only key": frame(52, 0, nil),
		"unknown version":     frame(3, 99, []byte{0, 0, 0, 0}),
		"negative version":    frame(3, -1, []byte{0, 0, 0, 0}),
		"removed version":     frame(0, 2, make([]byte, 20)),
		"removed ListOffsets": frame(2, 0, make([]byte, 20)),
		"garbage":             []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"negative length":     {0xff, 0xff, 0xff, 0xff},
		"huge length":         {0x7f, 0xff, 0xff, 0xff, 0, 0},
		"no header":           {0, 0, 0, 2, 0, 3},
		"long client id":      {0, 0, 0, 10, 0, 3, 0, 9, 0, 0, 0, 7, 0x7f, 0xff},
		"cut off":             frame(3, 9, []byte{5, 1, 2})[:15],
		"bad body":            frame(3, 9, []byte{0xff, 0xff, 0xff, 0xff, 0x0f}),
		"tag bomb":            frame(18, 3, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0}),
	} {
		if got := n.send(b); len(got) != 0 {
			t.Errorf("%s: answered with %x", name, got)
		}
	}
	for _, k := range askApiVersions(n, 0).ApiKeys {
		if k.ApiKey != 18 {
			if got := n.send(frame(k.ApiKey, k.MaxVersion+1, make([]byte, 20))); len(got) != 0 {
				t.Errorf("%s %d is answered with %x", kmsg.NameForKey(k.ApiKey), k.MaxVersion+1, got)
			}
		}
	}
}

// TestBehaviour005PipelinedRequests sends ten requests at once, slow and quick ones.
func TestBehaviour005PipelinedRequests(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	var all []byte
	for i := range 10 {
		var req kmsg.Request = kmsg.NewPtrMetadataRequest()
		if i%3 == 0 {
			slow := to.fetchRequest(0, 1)
			slow.MaxWaitMillis = 30
			req = slow
		}
		req.SetVersion(13)
		all = append(all, kmsg.NewRequestFormatter().AppendRequest(nil, req, int32(i))...)
	}
	c, err := n.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(all); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		got, err := c.frame()
		if err != nil || binary.BigEndian.Uint32(got) != uint32(i) {
			t.Fatalf("answer %d: %x (%v)", i, got[:min(8, len(got))], err)
		}
	}
}

// header begins a request by hand: the client id as it is given, -1 for null, and tagged fields if the version is flexible.
func header(req kmsg.Request, clientID []byte, tags []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, 0, 0, 0}, uint16(req.Key()))
	b = binary.BigEndian.AppendUint16(b, uint16(req.GetVersion()))
	b = append(b, 0, 0, 0, 42)
	if clientID == nil {
		b = append(b, 0xff, 0xff)
	} else {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(clientID))), clientID...)
	}
	if req.IsFlexible() {
		b = append(b, tags...)
	}
	b = req.AppendTo(b)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// askRaw sends a request with a header made by hand.
func (n *node) askRaw(req kmsg.Request, clientID, tags []byte) (kmsg.Response, error) {
	c, err := n.dial()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := c.Write(header(req, clientID, tags)); err != nil {
		return nil, err
	}
	return c.answer(req)
}

func TestBehaviour006NullClientID(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	for _, version := range []int16{3, 8, 9, 12} {
		for _, id := range [][]byte{nil, {}, []byte("x")} {
			req := produceRequest(to.name, -1, nil)
			req.SetVersion(version)
			resp, err := n.askRaw(req, id, []byte{0})
			if err != nil || resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode != 0 {
				t.Errorf("Produce %d with client id %q: %+v %v", version, id, resp, err)
			}
			meta := meaningful(3, to.name, [16]byte{})
			meta.SetVersion(version)
			resp, err = n.askRaw(meta, id, []byte{0})
			if err != nil || resp.(*kmsg.MetadataResponse).Topics[0].ErrorCode != 0 {
				t.Errorf("Metadata %d with client id %q: %+v %v", version, id, resp, err)
			}
		}
	}
}

func TestBehaviour007UnknownTaggedFields(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	tags := []byte{2, 99, 3, 'a', 'b', 'c', 0xff, 0x7f, 1, 0} // two fields: 99 of three bytes, and 16383 of one

	meta := meaningful(3, to.name, [16]byte{}).(*kmsg.MetadataRequest)
	meta.UnknownTags.Set(77, []byte("not known"))
	meta.Topics[0].UnknownTags.Set(5000, nil)
	meta.SetVersion(12)
	resp, err := n.askRaw(meta, []byte("test"), tags)
	if err != nil || resp.(*kmsg.MetadataResponse).Topics[0].ErrorCode != 0 {
		t.Errorf("Metadata: %+v %v", resp, err)
	}
	write := produceRequest(to.name, -1, nil)
	write.UnknownTags.Set(77, bytes.Repeat([]byte{1}, 300))
	write.Topics[0].Partitions[0].UnknownTags.Set(1, []byte{1})
	write.SetVersion(12)
	resp, err = n.askRaw(write, nil, tags)
	if err != nil || resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode != 0 {
		t.Errorf("Produce: %+v %v", resp, err)
	}
	versions := meaningful(18, "", [16]byte{}).(*kmsg.ApiVersionsRequest)
	versions.UnknownTags.Set(200, []byte("x"))
	versions.SetVersion(4)
	resp, err = n.askRaw(versions, nil, tags)
	if err != nil || resp.(*kmsg.ApiVersionsResponse).ErrorCode != 0 {
		t.Errorf("ApiVersions: %+v %v", resp, err)
	}
}

func TestBehaviour008AdvertisedKeys(t *testing.T) {
	n := shared(t)
	hidden := map[int16]bool{71: true, 72: true} // telemetry is only there with a receiver
	for _, key := range []int16{4, 5, 6, 7, 52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82} {
		hidden[key] = true
	}
	for version := range int16(5) {
		got := askApiVersions(n, version)
		last := int16(-1)
		for _, k := range got.ApiKeys {
			if hidden[k.ApiKey] {
				t.Errorf("ApiVersions %d names %s", version, kmsg.NameForKey(k.ApiKey))
			}
			if k.ApiKey <= last {
				t.Errorf("ApiVersions %d names key %d after %d", version, k.ApiKey, last)
			}
			last = k.ApiKey
			if k.ApiKey == 0 && (k.MinVersion != 0 || k.MaxVersion != 13) || k.ApiKey == 2 && k.MinVersion != 1 {
				t.Errorf("ApiVersions %d: %+v", version, k)
			}
		}
	}
	old := produceRequest("t", -1, nil)
	old.SetVersion(2)
	if resp, err := n.ask(old); err == nil {
		t.Errorf("Produce 2 is answered: %+v", resp)
	}
}

func TestBehaviour010FinalizedFeaturesEpoch(t *testing.T) {
	n := shared(t)
	last := int64(-1)
	for round := range 3 {
		got := askApiVersions(n, 4)
		if got.FinalizedFeaturesEpoch < last || got.FinalizedFeaturesEpoch < 0 || len(got.FinalizedFeatures) == 0 {
			t.Fatalf("round %d: epoch %d after %d, features %+v", round, got.FinalizedFeaturesEpoch, last, got.FinalizedFeatures)
		}
		last = got.FinalizedFeaturesEpoch
		supported := map[string][2]int16{}
		for _, f := range got.SupportedFeatures {
			supported[f.Name] = [2]int16{f.MinVersion, f.MaxVersion}
		}
		for _, f := range got.FinalizedFeatures {
			if s, ok := supported[f.Name]; !ok || f.MaxVersionLevel < s[0] || f.MaxVersionLevel > s[1] {
				t.Errorf("%s is finalized at %d, supported are %v", f.Name, f.MaxVersionLevel, s)
			}
		}
		n.newTopic(1)
	}
}

// closed tells whether the other side closes a connection without a word within ten seconds.
func closed(c net.Conn) error {
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	var b [1]byte
	_, err := c.Read(b[:])
	var timeout net.Error
	switch {
	case err == nil:
		return fmt.Errorf("it said %x", b)
	case errors.Is(err, io.EOF), !errors.As(err, &timeout), !timeout.Timeout():
		return nil
	}
	return err
}

func TestBehaviour124ConnectionLimits(t *testing.T) {
	n := start(t, "max.connections.per.ip=3", "max.connections.per.ip.overrides=127.0.0.9:1")
	from := func(ip string) conn {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Timeout: 10 * time.Second}
		c, err := d.Dial("tcp", n.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return conn{c}
	}
	works := func(c conn) error {
		req := meaningful(18, "", [16]byte{})
		req.SetVersion(3)
		_, err := c.ask(req)
		return err
	}
	for ip, limit := range map[string]int{"127.0.0.1": 3, "127.0.0.9": 1} {
		var open []conn
		for range limit {
			c := from(ip)
			if err := works(c); err != nil {
				t.Fatal(err)
			}
			open = append(open, c)
		}
		if err := closed(from(ip)); err != nil {
			t.Errorf("connection %d from %s is not closed: %v", limit+1, ip, err)
		}
		for _, c := range open {
			if err := works(c); err != nil {
				t.Errorf("an earlier connection from %s suffers: %v", ip, err)
			}
		}
		_ = open[0].Close()
		until(t, "there is room again", func() bool { return works(from(ip)) == nil })
	}

	idle := start(t, "connections.max.idle.ms=100")
	c, err := idle.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := works(c); err != nil {
		t.Fatal(err)
	}
	if err := closed(c); err != nil {
		t.Errorf("an idle connection is not closed: %v", err)
	}
}
