package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// sendRaw sends bytes that may be anything to both. req tells how an answer would look; nil: none is expected.
func (w *world) sendRaw(label string, frame []byte, req kmsg.Request, correlation int32) *exchange {
	w.step++
	w.hangUp("raw")
	x := &exchange{w: w, conn: "raw", label: label, req: req, correlation: correlation, probed: true}
	x.write([2][]byte{frame, frame})
	return x
}

// harmless are requests that, however they are spoilt, change nothing that matters.
func (w *world) harmless() []kmsg.Request {
	join, sync, beat := kmsg.NewPtrJoinGroupRequest(), kmsg.NewPtrSyncGroupRequest(), kmsg.NewPtrHeartbeatRequest()
	join.Group, sync.Group, beat.Group = "malformed", "malformed", "malformed"
	join.SessionTimeoutMillis = 1 // which is refused
	create := createTopic("malformed", 1, 1, "retention.ms=1")
	create.ValidateOnly = true
	change := alter(topicResource, "nowhere", set("retention.ms", "1"))
	change.ValidateOnly = true
	return []kmsg.Request{
		kmsg.NewPtrApiVersionsRequest(), fetch("nowhere", [16]byte{1}, 0, 0), listOffsets(listOffset("nowhere", 0, -1)),
		produce("nowhere", [16]byte{1}, -1, w.one("x")), join, sync, beat, create, change, describeConfigs(topicResource, "nowhere"), deleteTopics([]string{"nowhere"}),
	}
}

// playMalformed sends frames that no client should send.
func playMalformed(w *world) {
	none := []byte(nil)
	for label, frame := range map[string][]byte{
		"a length of 0": {0, 0, 0, 0}, "a length of 3": {0, 0, 0, 3, 0, 18, 0}, "a negative length": {0xff, 0xff, 0xff, 0xff}, "a huge length": {0x7f, 0xff, 0xff, 0xff},
		"a header without a client id": {0, 0, 0, 8, 0, 18, 0, 0, 0, 0, 0, 1}, "a client id beyond the end": {0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0, 9},
		"an unknown key": header{key: 999, correlation: 1}.frame(none), "a negative key": header{key: -1, correlation: 1}.frame(none),
		"HTTP": []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), "TLS": {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9},
	} {
		w.sendRaw(label, frame, nil, 1).compare()
	}
	for key := range int16(kmsg.MaxKey + 1) {
		if r, ok := w.ranges[key]; ok && key != int16(kmsg.ApiVersions) {
			for _, version := range []int16{-1, r[1] + 30} {
				w.sendRaw(fmt.Sprintf("%s in version %d", kmsg.NameForKey(key), version), header{key: key, version: version, correlation: 1}.frame(none), nil, 1).compare()
			}
		}
	}
	for _, req := range w.harmless() {
		for _, v := range w.versions(kmsg.Key(req.Key())) {
			req.SetVersion(v)
			label := fmt.Sprintf("%s %d", kmsg.NameForKey(req.Key()), v)
			whole := frameOf(req, 1)
			for _, cut := range []int{1, 2, len(whole) / 3} {
				short := slices.Clone(whole[:max(len(whole)-cut, 14)])
				binary.BigEndian.PutUint32(short, uint32(len(short)-4))
				w.sendRaw(fmt.Sprintf("%s without its last %d bytes", label, cut), short, req, 1).compare()
			}
			long := append(slices.Clone(whole), 1, 2, 3)
			binary.BigEndian.PutUint32(long, uint32(len(long)-4))
			w.sendRaw(label+" with 3 bytes more", long, req, 1).compare()
		}
	}
}

// playSpoilt sends requests of which some bytes are others.
func playSpoilt(w *world, seed uint64, steps int) {
	rng := rand.New(rand.NewPCG(seed, 1))
	requests := w.harmless()
	for range steps {
		req := requests[rng.IntN(len(requests))]
		versions := w.versions(kmsg.Key(req.Key()))
		req.SetVersion(versions[rng.IntN(len(versions))])
		frame := frameOf(req, 1)
		at := 14 + len(clientID) + rng.IntN(len(frame)-14-len(clientID)+1)
		if at < len(frame) {
			values := []byte{0, 1, 2, 0x7f, 0x80, 0xff}
			if frame[at] >= ' ' && frame[at] < 0x7f { // text stays text: Kafka would put a sign for what is not UTF-8
				values = values[:4]
			}
			frame[at] = values[rng.IntN(len(values))]
		}
		if w.about = "spoilt"; req.Key() == int16(kmsg.ApiVersions) {
			w.about = "" // its answer is the same, however it is asked for
		}
		w.sendRaw(fmt.Sprintf("%s %d, byte %d is %d", kmsg.NameForKey(req.Key()), req.GetVersion(), at, frame[min(at, len(frame)-1)]), frame, req, 1).compare()
	}
	w.about = ""
}
