package main

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// filled makes a topic with some batches in its first two partitions.
func (w *world) filled(topic string, configs ...string) [16]byte {
	id := w.topic(topic, 3, configs...)
	for i := range 6 {
		var list []rec
		for j := range i + 1 {
			list = append(list, rec{value: strings.Repeat("v", 20*i+j), at: w.now + int64(100*i+10*j)})
		}
		w.ask(produce(topic, id, -1, batch(list), batch(list, packed(i%5))), 9)
	}
	return id
}

func playFetch(w *world) {
	id := w.filled("read")
	for _, v := range w.versions(kmsg.Fetch) {
		ask := func(change ...func(*kmsg.FetchRequest)) { w.ask(edited(fetch("read", id, 0, 0, 1), change...), v) }
		ask()
		for _, offset := range []int64{-1, 1, 2, 3, 15, 20, 21, 22, 100, -2, 1 << 62} {
			w.ask(fetch("read", id, offset, 0), v)
			w.ask(fetch("read", id, offset, 1, 0), v)
		}
		for _, limit := range []int32{0, 1, 100, 200, 500, 1 << 30, -1} {
			ask(func(r *kmsg.FetchRequest) { r.MaxBytes = limit })
			ask(func(r *kmsg.FetchRequest) {
				for i := range r.Topics[0].Partitions {
					r.Topics[0].Partitions[i].PartitionMaxBytes = limit
				}
			})
			ask(func(r *kmsg.FetchRequest) {
				r.Topics[0].Partitions[0].PartitionMaxBytes = limit
				r.MaxBytes = 300
			})
			ask(func(r *kmsg.FetchRequest) { r.MinBytes = limit })
		}
		for _, number := range []int32{-1, 3, 99} {
			w.ask(fetch("read", id, 0, 0, number), v)
		}
		w.ask(fetch("absent", [16]byte{6}, 0, 0), v)
		w.ask(fetch("absent", [16]byte{}, 0, 0), v)
		w.ask(fetch("a b", [16]byte{}, 0, 0), v)
		w.ask(fetch("read", id, 0), v)
		w.about = "twice"
		w.ask(fetch("read", id, 0, 0, 0), v)
		twice := fetch("read", id, 0, 0)
		twice.Topics = append(twice.Topics, fetch("absent", [16]byte{6}, 0, 1, 0).Topics[0], fetch("read", id, 3, 1).Topics[0], fetch("read", id, 7, 0).Topics[0])
		w.ask(twice, v)
		w.about = ""
		for _, epoch := range []int32{-1, 0, 1, 5, -2} {
			ask(func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch })
			ask(func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].LastFetchedEpoch = epoch })
			ask(func(r *kmsg.FetchRequest) {
				r.Topics[0].Partitions[0].LastFetchedEpoch, r.Topics[0].Partitions[0].FetchOffset = epoch, 5
			})
		}
		for _, isolation := range []int8{0, 1, 2, -1} {
			ask(func(r *kmsg.FetchRequest) { r.IsolationLevel = isolation })
		}
		for _, start := range []int64{0, 5, 100} {
			ask(func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].LogStartOffset = start })
		}
		ask(func(r *kmsg.FetchRequest) { r.Rack = "somewhere" })
		ask(func(r *kmsg.FetchRequest) { r.MaxWaitMillis = -1 })
		ask(func(r *kmsg.FetchRequest) { r.MinBytes, r.MaxWaitMillis = 1<<20, 50 })
		w.ask(edited(fetch("read", id, 21, 0, 1), func(r *kmsg.FetchRequest) { r.MinBytes, r.MaxWaitMillis = 1, 50 }), v)
		w.ask(edited(fetch("read", id, 21, 2), func(r *kmsg.FetchRequest) { r.MinBytes, r.MaxWaitMillis = 1, 50 }), v)
		none := kmsg.NewPtrFetchRequest()
		none.SessionEpoch, none.MaxBytes = -1, 1<<20
		w.ask(none, v)
		for _, replica := range []int32{0, 1, 5, -2} {
			ask(func(r *kmsg.FetchRequest) { r.ReplicaID = replica })
		}
	}
}

func playSessions(w *world) {
	id := w.filled("session")
	other := w.filled("session-too")
	for _, v := range w.versions(kmsg.Fetch) {
		if v < 7 {
			continue
		}
		// open asks for a new session. It gives Kafka's id of it.
		open := func(req *kmsg.FetchRequest) int32 {
			req.SessionID, req.SessionEpoch = 0, 0
			resp, _ := w.ask(req, v).(*kmsg.FetchResponse)
			if resp == nil {
				return 0
			}
			return resp.SessionID
		}
		next := func(session, epoch int32, change ...func(*kmsg.FetchRequest)) {
			req := kmsg.NewPtrFetchRequest()
			req.MaxBytes, req.SessionID, req.SessionEpoch = 1<<20, session, epoch
			w.ask(edited(req, change...), v)
		}
		forget := func(topic string, id [16]byte, partitions ...int32) func(*kmsg.FetchRequest) {
			return func(r *kmsg.FetchRequest) {
				r.ForgottenTopics = append(r.ForgottenTopics, kmsg.FetchRequestForgottenTopic{Topic: topic, TopicID: id, Partitions: partitions})
			}
		}
		add := func(req *kmsg.FetchRequest) func(*kmsg.FetchRequest) {
			return func(r *kmsg.FetchRequest) { r.Topics = append(r.Topics, req.Topics...) }
		}
		s := open(fetch("session", id, 21, 0, 1, 2))
		next(s, 1)
		next(s, 2)
		next(s, 2) // again
		next(s, 4)
		next(s+1, 1)
		next(s, 3, add(fetch("session", id, 15, 0)))
		next(s, 4)
		next(s, 5, forget("session", id, 1), add(fetch("session-too", other, 21, 0)))
		next(s, 6, forget("session", id, 1, 7), forget("absent", [16]byte{4}, 0))
		next(s, 7, add(fetch("absent", [16]byte{4}, 0, 0)))
		next(s, 8)
		next(s, 9, forget("absent", [16]byte{4}, 0), forget("session-too", other, 0), forget("session", id, 0))
		w.ask(edited(produce("session", id, -1, w.one("new")), func(r *kmsg.ProduceRequest) { r.Topics[0].Partitions[0].Partition = 2 }), 9)
		next(s, 10)
		next(s, 11)
		next(s, 12, add(fetch("session", id, 22, 2)))
		next(s, 13, forget("session", id, 2))
		next(s, 14)
		next(s, -1, add(fetch("session", id, 0, 0)))
		next(s, 15)
		next(0, 1)
		next(12345, 0, add(fetch("session", id, 21, 0)))
		next(0, -1)
		next(0, 0)
		next(0, 0, forget("session", id, 1))
		next(-5, 3)
		// Partitions that fail.
		s = open(fetch("session", id, 1000, 0, 1, 9))
		next(s, 1)
		next(s, 2, add(fetch("session", id, 0, 0)))
		next(s, 3)
		s = open(fetch("absent", [16]byte{4}, 0, 0))
		next(s, 1)
		s = open(edited(fetch("session", id, 0, 0, 1), func(r *kmsg.FetchRequest) { r.MaxBytes = 100 }))
		next(s, 1, func(r *kmsg.FetchRequest) { r.MaxBytes = 100 })
		next(s, 2, func(r *kmsg.FetchRequest) { r.MaxBytes = 100 })
		next(s, 2147483647)
		// A topic that goes while a session reads it.
		name := fmt.Sprintf("session-gone-%d", v)
		gone := w.topic(name, 1)
		s = open(fetch(name, gone, 0, 0))
		w.ask(deleteTopics([]string{name}), 5)
		w.settle()
		next(s, 1)
		next(s, 2)
		w.hangUp("main")
		next(s, 3) // sessions do not belong to connections
	}
}

func playOffsets(w *world) {
	w.filled("times")
	w.topic("times-empty", 1)
	for _, v := range w.versions(kmsg.ListOffsets) {
		for _, isolation := range []int8{0, 1, 2} {
			for _, at := range []int64{-1, -2, -3, -4, -5, -6, -7, -100, 0, w.now - 1, w.now, w.now + 1, w.now + 105, w.now + 550, w.now + 1000, 1 << 60} {
				req := listOffsets(listOffset("times", 0, at), listOffset("times-empty", 0, at))
				req.IsolationLevel = isolation
				w.ask(req, v)
				w.ask(listOffsets(listOffset("times", 1, at)), v)
			}
		}
		for _, epoch := range []int32{-1, 0, 1, 9, -3} {
			req := listOffsets(listOffset("times", 0, -1))
			req.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
			w.askAbout(epoch < -1, "epoch below -1", req, v)
		}
		w.ask(listOffsets(listOffset("times", 7, -1), listOffset("times", -1, -1), listOffset("absent", 0, -1), listOffset("a b", 0, -1), listOffset("", 0, -1)), v)
		twice := listOffset("times", 0, -1)
		twice.Partitions = append(twice.Partitions, twice.Partitions[0], listOffset("times", 1, -2).Partitions[0])
		w.ask(listOffsets(twice), v)
		w.ask(listOffsets(listOffset("times", 0, -1), listOffset("times", 0, -2)), v)
		w.ask(listOffsets(), v)
		for _, replica := range []int32{0, 1, 9, -2, -3} {
			w.ask(edited(listOffsets(listOffset("times", 0, -1), listOffset("times", 1, w.now)), func(r *kmsg.ListOffsetsRequest) { r.ReplicaID = replica }), v)
		}
	}
	for _, v := range w.versions(kmsg.OffsetForLeaderEpoch) {
		for _, replica := range []int32{-1, -2, 1, 5} {
			for _, epoch := range []int32{-1, 0, 1, 7, -2} {
				for _, current := range []int32{-1, 0, 3} {
					req := kmsg.NewPtrOffsetForLeaderEpochRequest()
					req.ReplicaID = replica
					for _, name := range []string{"times", "absent", "times-empty", "a b"} {
						t := kmsg.NewOffsetForLeaderEpochRequestTopic()
						t.Topic = name
						for _, number := range []int32{0, 8, -1} {
							p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
							p.Partition, p.LeaderEpoch, p.CurrentLeaderEpoch = number, epoch, current
							t.Partitions = append(t.Partitions, p)
						}
						req.Topics = append(req.Topics, t)
					}
					w.askAbout(epoch < -1, "epoch below -1", req, v)
				}
			}
		}
	}
}

func deleteRecords(topic string, partition int32, before int64) *kmsg.DeleteRecordsRequest {
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 10_000
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic = topic
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Partition, p.Offset = partition, before
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func playDeleteRecords(w *world) {
	compacted := "cleanup.policy=compact"
	w.topic("keeps", 1, compacted)
	w.ask(produce("keeps", [16]byte{}, -1, batch([]rec{{key: []byte("k"), value: "v", at: w.now}})), 9)
	w.topic("keeps-both", 1, "cleanup.policy=compact,delete")
	w.ask(produce("keeps-both", [16]byte{}, -1, batch([]rec{{key: []byte("k"), value: "v", at: w.now}})), 9)
	for _, v := range w.versions(kmsg.DeleteRecords) {
		topic := fmt.Sprintf("cut-%d", v)
		id := w.filled(topic)
		look := func() {
			for _, at := range []int64{-2, -1, -3, w.now, w.now + 105} {
				w.ask(listOffsets(listOffset(topic, 0, at)), w.newest(kmsg.ListOffsets))
			}
			for _, offset := range []int64{0, 2, 3, 4, 5, 21} {
				w.ask(fetch(topic, id, offset, 0), w.newest(kmsg.Fetch))
			}
		}
		for _, before := range []int64{0, 2, 1, 4, 22, -2, 1 << 60, 10} {
			w.ask(deleteRecords(topic, 0, before), v)
			look()
		}
		w.ask(deleteRecords(topic, 1, -1), v)
		w.ask(deleteRecords(topic, 2, -1), v)
		w.ask(deleteRecords(topic, 2, 0), v)
		w.ask(deleteRecords(topic, 3, 0), v)
		w.ask(deleteRecords(topic, -1, 0), v)
		w.ask(deleteRecords("absent", 0, 0), v)
		w.ask(deleteRecords("a b", 0, 0), v)
		w.ask(deleteRecords("", 0, 0), v)
		w.ask(deleteRecords("keeps", 0, 1), v)
		w.ask(deleteRecords("keeps-both", 0, 1), v)
		w.ask(deleteRecords("__consumer_offsets", 0, 0), v)
		w.ask(deleteRecords("__transaction_state", 0, 0), v)
		several := deleteRecords(topic, 0, 12)
		several.Topics[0].Partitions = append(several.Topics[0].Partitions, deleteRecords(topic, 7, 1).Topics[0].Partitions[0])
		several.Topics = append(several.Topics, deleteRecords("absent", 0, 1).Topics[0])
		w.ask(several, v)
		twice := deleteRecords(topic, 0, 13)
		twice.Topics[0].Partitions = append(twice.Topics[0].Partitions, deleteRecords(topic, 0, 14).Topics[0].Partitions[0])
		w.askAbout(true, "twice", twice, v)
		w.ask(edited(deleteRecords(topic, 0, 15), func(r *kmsg.DeleteRecordsRequest) { r.TimeoutMillis = 0 }), v)
		w.ask(kmsg.NewPtrDeleteRecordsRequest(), v)
		look()
		w.ask(produce(topic, id, -1, w.one("after")), 9)
		look()
		w.readBack(topic, id, 0, 1, 2)
	}
}

func playLogDirs(w *world) {
	w.filled("sized")
	for _, v := range w.versions(kmsg.DescribeLogDirs) {
		ask := func(topics ...kmsg.DescribeLogDirsRequestTopic) {
			req := kmsg.NewPtrDescribeLogDirsRequest()
			req.Topics = topics
			w.ask(req, v)
		}
		ask(kmsg.DescribeLogDirsRequestTopic{Topic: "sized", Partitions: []int32{0, 1, 2, 9, -1, 0}})
		ask(kmsg.DescribeLogDirsRequestTopic{Topic: "absent", Partitions: []int32{0}})
		ask(kmsg.DescribeLogDirsRequestTopic{Topic: "sized"}, kmsg.DescribeLogDirsRequestTopic{Topic: "sized", Partitions: []int32{1}})
		ask([]kmsg.DescribeLogDirsRequestTopic{}...)
		w.ask(edited(kmsg.NewPtrDescribeLogDirsRequest(), func(r *kmsg.DescribeLogDirsRequest) { r.Topics = []kmsg.DescribeLogDirsRequestTopic{} }), v)
	}
}
