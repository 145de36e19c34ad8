package history

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// script is a history in the making. Operations begin and end one after the other, unless they are told when.
type script struct {
	events []Event
	at, op int64
}

func (s *script) add(e Event) {
	if e.At == 0 {
		s.at++
		e.At = s.at
	}
	s.events = append(s.events, e)
}

func (s *script) begin(kind Kind, client, value string, offset int64) (end func(Phase, int64)) {
	s.op++
	op := s.op
	s.add(Event{Client: client, Op: op, Kind: kind, Phase: Invoke, Value: value, Offset: offset})
	return func(p Phase, offset int64) {
		s.add(Event{Client: client, Op: op, Kind: kind, Phase: p, Offset: offset})
	}
}

func (s *script) send(client, value string, offset int64) {
	s.begin(Send, client, value, 0)(OK, offset)
}
func (s *script) commit(offset int64)    { s.begin(Commit, "m", "", offset)(OK, 0) }
func (s *script) committed(offset int64) { s.begin(Committed, "admin", "", 0)(OK, offset) }

// poll takes reads as "0=a 1=b".
func (s *script) poll(client string, mode Mode, reads string) {
	e := Event{Client: client, Kind: Poll, Phase: OK, Mode: mode}
	for _, r := range strings.Fields(reads) {
		var read Read
		if _, err := fmt.Sscanf(strings.ReplaceAll(r, "=", " "), "%d %s", &read.Offset, &read.Value); err != nil {
			panic(err)
		}
		e.Reads = append(e.Reads, read)
	}
	s.add(e)
}

// good is a history without fault: a, b, c and d are at 0 to 3.
func good(s *script) {
	s.send("p", "a", 0)
	s.send("q", "b", 1)
	s.poll("r", Assign, "0=a 1=b")
	s.send("p", "c", 2)
	s.poll("r", Assign, "2=c")
	s.begin(Send, "p", "never written", 0)(Fail, 0)
	s.begin(Send, "q", "d", 0)(Info, 0)
	s.begin(Send, "q", "unknown and not there", 0)
	s.poll("g", Subscribe, "1=b 2=c 3=d")
	s.poll("g", Subscribe, "0=a 1=b") // the group gave the partition to another and back
	s.commit(2)
	s.committed(2)
	s.begin(Commit, "m", "", 3)(Info, 0)
	s.committed(3)
	s.begin(Commit, "m", "", 4)(Fail, 0)
	s.committed(2)
}

// finals reads everything at the end.
func finals(s *script) {
	s.poll("final", Final, "0=a 1=b")
	s.poll("final", Final, "2=c 3=d")
}

func TestEachAnomalyIsNamed(t *testing.T) {
	for _, test := range []struct {
		name string
		then func(s *script) // after good
		want []string
	}{
		{"none", finals, nil},
		{"two reads differ", func(s *script) {
			finals(s)
			s.poll("final2", Final, "0=a 1=c 2=c 3=d")
		}, []string{InconsistentOffset}},
		{"an acknowledgement and a read differ", func(s *script) {
			s.send("q", "e", 4)
			s.poll("final", Final, "0=a 1=b 2=c 3=d 4=unknown")
		}, []string{InconsistentOffset, Unseen}},
		{"one value twice", func(s *script) {
			s.poll("final", Final, "0=a 1=b 2=c 3=d 4=a")
		}, []string{Duplicate}},
		{"a record is lost", func(s *script) {
			s.send("q", "e", 4)
			s.send("q", "f", 5)
			s.poll("final", Final, "0=a 1=b 2=c 3=d 5=f")
		}, []string{LostWrite, PollSkip}},
		{"a record is lost that was read before", func(s *script) {
			s.send("q", "e", 4)
			s.poll("g", Subscribe, "4=e")
			s.begin(Send, "q", "f", 0)
			s.begin(Send, "q", "g", 0)
			s.poll("final", Final, "0=a 1=b 2=c 3=d 4=f 5=g")
		}, []string{LostWrite, InconsistentOffset}},
		{"the last record is not seen", func(s *script) {
			s.send("q", "e", 4)
			finals(s)
		}, []string{Unseen}},
		{"a record without an offset is not seen", func(s *script) {
			s.send("q", "e", -1)
			finals(s)
		}, []string{Unseen}},
		{"a record that was acknowledged without an offset is there", func(s *script) {
			s.send("q", "e", -1)
			finals(s)
			s.poll("final", Final, "4=e")
		}, nil},
		{"the log ends before what was read", func(s *script) {
			s.poll("final", Final, "0=a 1=b 2=c")
		}, []string{VanishedRead}},
		{"a definite failure is there", func(s *script) {
			s.begin(Send, "q", "failed", 0)(Fail, 0)
			finals(s)
			s.poll("final", Final, "4=failed")
		}, []string{AbortedRead}},
		{"a record that nobody sent", func(s *script) {
			finals(s)
			s.poll("final", Final, "4=x")
		}, []string{Phantom}},
		{"a record of another partition", func(s *script) {
			s.add(Event{Client: "p", Op: 99, Kind: Send, Phase: Invoke, Partition: 1, Value: "elsewhere"})
			finals(s)
			s.poll("final", Final, "4=elsewhere")
		}, []string{Phantom}},
		{"a jump within a poll", func(s *script) {
			finals(s)
			s.poll("r2", Assign, "0=a 2=c")
		}, []string{PollSkip}},
		{"a jump between polls", func(s *script) {
			finals(s)
			s.poll("r2", Assign, "0=a 1=b")
			s.poll("r2", Assign, "3=d")
		}, []string{PollSkip}},
		{"a jump over the first", func(s *script) {
			finals(s)
			s.poll("r2", Assign, "1=b")
		}, []string{PollSkip}},
		{"a jump over an offset that holds nothing", func(s *script) {
			finals(s)
			s.begin(Send, "q", "e", 0)
			s.poll("final", Final, "5=e")
		}, nil},
		{"a jump of a member within a poll", func(s *script) {
			finals(s)
			s.poll("g", Subscribe, "1=b 3=d")
		}, []string{PollSkip}},
		{"a jump of a member between polls", func(s *script) {
			finals(s)
			s.poll("g", Subscribe, "3=d")
		}, nil},
		{"back within a poll", func(s *script) {
			finals(s)
			s.poll("g", Subscribe, "2=c 1=b")
		}, []string{NonmonotonicPoll}},
		{"back between polls", func(s *script) {
			finals(s)
			s.poll("r", Assign, "2=c")
		}, []string{NonmonotonicPoll}},
		{"a producer's order", func(s *script) {
			first, second := s.begin(Send, "p", "e", 0), s.begin(Send, "p", "f", 0)
			first(OK, 5)
			second(OK, 4)
			s.poll("final", Final, "0=a 1=b 2=c 3=d 4=f 5=e")
		}, []string{NonmonotonicSend}},
		{"a producer's order, as read", func(s *script) {
			s.begin(Send, "p", "e", 0)
			s.begin(Send, "p", "f", 0)
			s.poll("final", Final, "0=a 1=b 2=c 3=d 4=f 5=e")
		}, []string{NonmonotonicSend}},
		{"two producers at the same time may be in any order", func(s *script) {
			first, second := s.begin(Send, "p", "e", 0), s.begin(Send, "q", "f", 0)
			first(OK, 5)
			second(OK, 4)
			s.poll("final", Final, "0=a 1=b 2=c 3=d 4=f 5=e")
		}, nil},
		{"sent after an acknowledgement, and yet lower", func(s *script) {
			s.send("p", "f", 5)
			s.send("q", "e", 4)
			s.poll("final", Final, "0=a 1=b 2=c 3=d 4=e 5=f")
		}, []string{RealTimeOrder}},
		{"sent after a read, and yet lower", func(s *script) {
			s.begin(Send, "p", "f", 0)
			s.poll("g", Subscribe, "5=f")
			s.send("q", "e", 4)
			s.poll("final", Final, "0=a 1=b 2=c 3=d 4=e 5=f")
		}, []string{RealTimeOrder}},
		{"the committed offset goes back", func(s *script) {
			s.commit(4)
			s.committed(2)
			finals(s)
		}, []string{CommitRegress}},
		{"the committed offset is gone", func(s *script) {
			s.commit(4)
			s.committed(-1)
			finals(s)
		}, []string{CommitRegress}},
		{"a commit is lower than the one before", func(s *script) {
			s.commit(4)
			s.commit(2)
			finals(s)
		}, []string{CommitRegress}},
		{"a commit that may have come late", func(s *script) {
			s.commit(4)
			s.committed(3)
			finals(s)
		}, nil},
		{"a commit that was asked for before it ended", func(s *script) {
			end := s.begin(Committed, "admin", "", 0)
			s.commit(4)
			end(OK, 2)
			finals(s)
		}, nil},
		{"an offset that nobody committed", func(s *script) {
			s.committed(7)
			finals(s)
		}, []string{Phantom}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &script{}
			good(s)
			test.then(s)
			var got []string
			for _, a := range Check(s.events) {
				got = append(got, a.Kind)
			}
			slices.Sort(got)
			slices.Sort(test.want)
			if diff := cmp.Diff(test.want, slices.Compact(got)); diff != "" {
				t.Errorf("the anomalies (-want +got):\n%s%v", diff, Check(s.events))
			}
		})
	}
}

func TestLoadGivesWhatWasWritten(t *testing.T) {
	s := &script{}
	good(s)
	var b bytes.Buffer
	for _, e := range s.events {
		if err := json.NewEncoder(&b).Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Load(&b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.events, got); diff != "" {
		t.Error(diff)
	}
	if _, err := Load(strings.NewReader(`{"at":1}` + "\n{")); err == nil {
		t.Error("half an event is taken for a whole one")
	}
}

// BenchmarkCheck shows that judging is linear: the time a send does not grow with their number.
func BenchmarkCheck(b *testing.B) {
	for _, sends := range []int{10_000, 100_000, 1_000_000} {
		s := &script{}
		for i := range sends {
			value := fmt.Sprint("v", i)
			s.send("p", value, int64(i))
			s.add(Event{Client: "r", Kind: Poll, Phase: OK, Mode: Assign, Reads: []Read{{int64(i), value}}})
		}
		b.Run(fmt.Sprint(sends), func(b *testing.B) {
			for b.Loop() {
				if found := Check(s.events); len(found) > 0 {
					b.Fatal(found[0])
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(time.Nanosecond)/float64(b.N*sends), "ns/send")
		})
	}
}
