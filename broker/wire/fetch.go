package wire

import "encoding/binary"

// FetchResponse is a fetch's answer without the records.
type FetchResponse struct {
	ThrottleMillis int32
	ErrorCode      int16
	SessionID      int32
	Topics         []FetchTopic
	Brokers        []FetchBroker // where the leaders are that partitions name (KIP-951); from version 16 on
}

// FetchBroker is where a leader is reached.
type FetchBroker struct {
	ID   int32
	Host string
	Port int32
	Rack *string // nil: null
}

// FetchTopic is a topic of a fetch's answer: its name up to version 12, its id from 13 on.
type FetchTopic struct {
	Topic      string
	TopicID    [16]byte
	Partitions []FetchPartition
}

// FetchPartition is a partition of a fetch's answer. RecordsLen bytes of records belong to it.
type FetchPartition struct {
	Partition            int32
	ErrorCode            int16
	HighWatermark        int64
	LastStableOffset     int64
	LogStartOffset       int64
	PreferredReadReplica int32 // -1: none
	DivergingEpoch       EpochEndOffset
	CurrentLeader        LeaderIDAndEpoch
	RecordsLen           int
}

// EpochEndOffset is where an epoch ends; epoch -1: there is nothing to say.
type EpochEndOffset struct {
	Epoch     int32
	EndOffset int64
}

// LeaderIDAndEpoch is who leads; id and epoch -1: there is nothing to say.
type LeaderIDAndEpoch struct {
	LeaderID    int32
	LeaderEpoch int32
}

// fetchFlexible is the first flexible version of Fetch.
const fetchFlexible = 12

// AppendFetch adds a fetch's answer of version 4 to 18 as a frame without its records. cuts are the places in the result
// where the records of the partitions belong, in order; the frame's length counts them.
func AppendFetch(dst []byte, correlationID int32, version int16, r *FetchResponse) (buf []byte, cuts []int) {
	e := encoder{b: dst, flexible: version >= fetchFlexible}
	at := len(dst)
	e.i32(0)
	e.i32(correlationID)
	e.tags()
	e.i32(r.ThrottleMillis)
	if version >= 7 {
		e.i16(r.ErrorCode)
		e.i32(r.SessionID)
	}
	records := 0
	e.array(len(r.Topics))
	for i := range r.Topics {
		t := &r.Topics[i]
		if version >= 13 {
			e.b = append(e.b, t.TopicID[:]...)
		} else {
			e.str(t.Topic)
		}
		e.array(len(t.Partitions))
		for j := range t.Partitions {
			p := &t.Partitions[j]
			e.partition(version, p)
			cuts = append(cuts, len(e.b))
			records += p.RecordsLen
			e.leaderTags(p)
		}
		e.tags()
	}
	e.brokers(r.Brokers)
	binary.BigEndian.PutUint32(e.b[at:], uint32(len(e.b)-at-4+records))
	return e.b, cuts
}

// partition writes a partition up to its records.
func (e *encoder) partition(version int16, p *FetchPartition) {
	e.i32(p.Partition)
	e.i16(p.ErrorCode)
	e.i64(p.HighWatermark)
	e.i64(p.LastStableOffset)
	if version >= 5 {
		e.i64(p.LogStartOffset)
	}
	if e.flexible { // aborted transactions: null
		e.b = append(e.b, 0)
	} else {
		e.i32(-1)
	}
	if version >= 11 {
		e.i32(p.PreferredReadReplica)
	}
	if e.flexible {
		e.b = binary.AppendUvarint(e.b, uint64(p.RecordsLen)+1)
	} else {
		e.i32(int32(p.RecordsLen))
	}
}

// leaderTags writes the tagged fields of a partition: 0 diverging epoch, 1 current leader.
func (e *encoder) leaderTags(p *FetchPartition) {
	if !e.flexible {
		return
	}
	diverging, leader := p.DivergingEpoch.Epoch >= 0, p.CurrentLeader.LeaderEpoch >= 0
	count := byte(0)
	if diverging {
		count++
	}
	if leader {
		count++
	}
	e.b = append(e.b, count)
	if diverging {
		e.b = append(e.b, 0, 4+8+1)
		e.i32(p.DivergingEpoch.Epoch)
		e.i64(p.DivergingEpoch.EndOffset)
		e.b = append(e.b, 0)
	}
	if leader {
		e.b = append(e.b, 1, 4+4+1)
		e.i32(p.CurrentLeader.LeaderID)
		e.i32(p.CurrentLeader.LeaderEpoch)
		e.b = append(e.b, 0)
	}
}

// brokers writes the tagged field of the answer: 0 brokers.
func (e *encoder) brokers(brokers []FetchBroker) {
	if !e.flexible || len(brokers) == 0 {
		e.tags()
		return
	}
	in := encoder{flexible: true}
	in.array(len(brokers))
	for _, b := range brokers {
		in.i32(b.ID)
		in.str(b.Host)
		in.i32(b.Port)
		if b.Rack != nil {
			in.str(*b.Rack)
		} else {
			in.b = append(in.b, 0)
		}
		in.tags()
	}
	e.b = append(e.b, 1, 0)
	e.b = binary.AppendUvarint(e.b, uint64(len(in.b)))
	e.b = append(e.b, in.b...)
}

type encoder struct {
	b        []byte
	flexible bool
}

func (e *encoder) i16(v int16) { e.b = binary.BigEndian.AppendUint16(e.b, uint16(v)) }
func (e *encoder) i32(v int32) { e.b = binary.BigEndian.AppendUint32(e.b, uint32(v)) }
func (e *encoder) i64(v int64) { e.b = binary.BigEndian.AppendUint64(e.b, uint64(v)) }

func (e *encoder) tags() {
	if e.flexible {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) array(n int) {
	if e.flexible {
		e.b = binary.AppendUvarint(e.b, uint64(n)+1)
	} else {
		e.i32(int32(n))
	}
}

func (e *encoder) str(s string) {
	if e.flexible {
		e.b = binary.AppendUvarint(e.b, uint64(len(s))+1)
	} else {
		e.i16(int16(len(s)))
	}
	e.b = append(e.b, s...)
}
