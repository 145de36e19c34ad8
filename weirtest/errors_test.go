package weirtest

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// populate puts something into every field of a request: one entry into each list, and a value of its own wherever there is
// room for one.
func populate(v reflect.Value, next *int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "Version" && v.Type().Field(i).Name != "UnknownTags" {
				populate(v.Field(i), next)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		populate(v.Index(0), next)
	case reflect.Array:
		for i := range v.Len() {
			populate(v.Index(i), next)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		populate(v.Elem(), next)
	case reflect.String:
		*next++
		v.SetString(fmt.Sprint("name ", *next))
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		*next++
		v.SetInt(int64(*next))
	case reflect.Uint8:
		*next++
		v.SetUint(uint64(*next))
	}
}

// errorsIn counts the places of an answer that have this error.
func errorsIn(v reflect.Value, code int16) (count int) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return errorsIn(v.Elem(), code)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name == "ErrorCode" && int16(v.Field(i).Int()) == code {
				count++
			} else {
				count += errorsIn(v.Field(i), code)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			count += errorsIn(v.Index(i), code)
		}
	}
	return count
}

// errorPlaces is in how many places of an answer an error stands, where that is not one.
var errorPlaces = map[kmsg.Key]int{
	kmsg.Metadata: 2, kmsg.OffsetFetch: 2, kmsg.LeaveGroup: 2, kmsg.ElectLeaders: 2, kmsg.OffsetDelete: 2,
	kmsg.AlterPartitionAssignments: 2, kmsg.DescribeQuorum: 2,
}

// TestErrorAnswers makes an error answer to a request of every API that the node knows, in every version: it can be sent, and
// holds the error.
func TestErrorAnswers(t *testing.T) {
	n := Start(t)
	conn := dial(t, n)
	conn.send(t, 1, versions())
	_, b := conn.answer(t)
	known := kmsg.NewPtrApiVersionsResponse()
	if err := known.ReadFrom(b); err != nil {
		t.Fatal(err)
	}
	code := kerr.InvalidRequest.Code
	for _, k := range known.ApiKeys {
		for v := k.MinVersion; v <= k.MaxVersion; v++ {
			answer := errorAnswerTo(t, kmsg.Key(k.ApiKey), v, code)
			if k.ApiKey == int16(kmsg.DescribeLogDirs) && v < 3 { // it has no place for one
				if answer != nil {
					t.Errorf("DescribeLogDirs, version %d: %+v", v, answer)
				}
				continue
			}
			most := max(errorPlaces[kmsg.Key(k.ApiKey)], 1)
			got := errorsIn(reflect.ValueOf(answer), code)
			if got < 1 || got > most || v == k.MaxVersion && got != most {
				t.Errorf("%s, version %d, has %d errors: %+v", kmsg.NameForKey(k.ApiKey), v, got, answer)
			}
		}
	}
}

// errorAnswerTo sends a populated request there and its error answer back. nil: there is no such answer.
func errorAnswerTo(t *testing.T, key kmsg.Key, version, code int16) kmsg.Response {
	t.Helper()
	sent := key.Request()
	populate(reflect.ValueOf(sent).Elem(), new(int))
	sent.SetVersion(version)
	came := key.Request()
	came.SetVersion(version)
	if err := came.ReadFrom(sent.AppendTo(nil)); err != nil {
		t.Fatalf("%s, version %d: %v", key.Name(), version, err)
	}
	answer, ok := errorAnswer(came, code)
	if !ok {
		return nil
	}
	got := key.Response()
	got.SetVersion(version)
	if err := got.ReadFrom(answer.AppendTo(nil)); err != nil {
		t.Fatalf("the answer to %s, version %d: %v", key.Name(), version, err)
	}
	return got
}

// TestErrorAnswersNameWhatTheyAreAbout looks at the answers closely, one of each kind.
func TestErrorAnswersNameWhatTheyAreAbout(t *testing.T) {
	code := kerr.InvalidRequest.Code
	produce := errorAnswerTo(t, kmsg.Produce, 12, code).(*kmsg.ProduceResponse).Topics[0]
	if produce.Topic != "name 4" || produce.Partitions[0].Partition != 21 {
		t.Errorf("Produce: %+v", produce)
	}
	produce = errorAnswerTo(t, kmsg.Produce, 13, code).(*kmsg.ProduceResponse).Topics[0]
	if produce.TopicID != [16]byte{5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20} || produce.Partitions[0].BaseOffset != 0 {
		t.Errorf("Produce with an id: %+v", produce)
	}
	fetch := errorAnswerTo(t, kmsg.Fetch, 12, code).(*kmsg.FetchResponse)
	if fetch.ErrorCode != 0 || fetch.Topics[0].Topic == "" || fetch.Topics[0].Partitions[0].Partition == 0 {
		t.Errorf("Fetch: %+v", fetch)
	}
	if names := errorAnswerTo(t, kmsg.DeleteTopics, 5, code).(*kmsg.DeleteTopicsResponse).Topics; len(names) != 1 || *names[0].Topic != "name 1" {
		t.Errorf("DeleteTopics by name: %s", *names[0].Topic)
	}
	if groups := errorAnswerTo(t, kmsg.DescribeGroups, 5, code).(*kmsg.DescribeGroupsResponse).Groups; len(groups) != 1 || groups[0].Group != "name 1" {
		t.Errorf("DescribeGroups: %+v", groups)
	}
	if keys := errorAnswerTo(t, kmsg.FindCoordinator, 4, code).(*kmsg.FindCoordinatorResponse).Coordinators; len(keys) != 1 || keys[0].Key != "name 3" {
		t.Errorf("FindCoordinator: %+v", keys)
	}
	if members := errorAnswerTo(t, kmsg.LeaveGroup, 4, code).(*kmsg.LeaveGroupResponse).Members; len(members) != 1 || members[0].MemberID != "name 3" {
		t.Errorf("LeaveGroup: %+v", members)
	}
}

// TestFailWithoutAPlaceForTheError: the connection ends, and the client is well again after it.
func TestFailWithoutAPlaceForTheError(t *testing.T) {
	n := Start(t)
	n.Every(Any, Fail(kerr.ClusterAuthorizationFailed))
	req := kmsg.NewPtrMetadataRequest() // of all topics
	req.SetVersion(1)
	conn := dial(t, n)
	conn.send(t, 7, req)
	conn.ends(t)
	n.Heal()
	if err := client(t, n).Ping(soon(t)); err != nil {
		t.Fatal(err)
	}
}
