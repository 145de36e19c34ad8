package cluster

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (d *driver) addVoter(id int32, directory UUID) string {
	d.t.Helper()
	req := kmsg.NewPtrAddRaftVoterRequest()
	req.VoterID, req.VoterDirectoryID = id, directory
	resp := d.send(Request{Body: req}).(*kmsg.AddRaftVoterResponse)
	return refusal(resp.ErrorCode, resp.ErrorMessage)
}

func (d *driver) removeVoter(id int32, directory UUID) string {
	d.t.Helper()
	req := kmsg.NewPtrRemoveRaftVoterRequest()
	req.VoterID, req.VoterDirectoryID = id, directory
	resp := d.send(Request{Body: req}).(*kmsg.RemoveRaftVoterResponse)
	return refusal(resp.ErrorCode, resp.ErrorMessage)
}

func refusal(code int16, message *string) string {
	if code == 0 && message == nil {
		return ""
	}
	return fmt.Sprintf("%d %s", code, *message)
}

// formed makes a cluster of brokers whose directories have their numbers, and of which the first ones are voters.
func formed(t *testing.T, brokers, voters int) *driver {
	d := &driver{t: t}
	d.c = NewController(d.config())
	var first []Voter
	for id := range int32(voters) {
		first = append(first, Voter{ID: id + 1})
	}
	if voters > 0 {
		if got := d.send(SetVoters{Voters: first}).(VotersSet); got.Refused != "" {
			t.Fatal(got)
		}
	}
	for id := range int32(brokers) {
		d.register(broker(id+1, byte(id+1)))
	}
	return d
}

// voters describes the voters by their ids and directories' last bytes.
func (d *driver) voters() string {
	var out []string
	for _, v := range d.c.Image().Voters() {
		out = append(out, fmt.Sprintf("%d/%d", v.ID, v.Directory[15]))
	}
	return strings.Join(out, " ")
}

// TestVoters: who is added and removed, and what is refused in Kafka's words.
func TestVoters(t *testing.T) {
	const one = "ReplicaKey(id=1, directoryId=AAAAAAAAAAAAAAAAAAAAAQ)"
	const two = "ReplicaKey(id=2, directoryId=AAAAAAAAAAAAAAAAAAAAAg)"
	dir := func(n byte) UUID { return UUID{15: n} }
	for name, c := range map[string]struct {
		voters int
		dead   int32
		do     func(*driver) string
		want   string
		after  string
	}{
		"add":                 {1, 0, func(d *driver) string { return d.addVoter(3, dir(3)) }, "", "1/1 3/3"},
		"add no directory":    {1, 0, func(d *driver) string { return d.addVoter(3, UUID{}) }, "42 Add voter request didn't include a valid voter", "1/1"},
		"add negative":        {1, 0, func(d *driver) string { return d.addVoter(-1, dir(3)) }, "42 Add voter request didn't include a valid voter", "1/1"},
		"add twice":           {2, 0, func(d *driver) string { return d.addVoter(2, dir(2)) }, "126 The voter id for " + two + " is already part of the set of voters [" + one + ", " + two + "].", "1/1 2/2"},
		"add unknown":         {1, 0, func(d *driver) string { return d.addVoter(9, dir(9)) }, "7 New voter ReplicaKey(id=9, directoryId=AAAAAAAAAAAAAAAAAAAACQ) is not ready to receive requests: no broker with this id and directory is registered", "1/1"},
		"add other directory": {1, 0, func(d *driver) string { return d.addVoter(2, dir(1)) }, "7 New voter ReplicaKey(id=2, directoryId=AAAAAAAAAAAAAAAAAAAAAQ) is not ready to receive requests: no broker with this id and directory is registered", "1/1"},
		"add dead":            {1, 2, func(d *driver) string { return d.addVoter(2, dir(2)) }, "7 New voter " + two + " is not ready to receive requests: the broker cannot be reached", "1/1"},
		"add to none":         {0, 0, func(d *driver) string { return d.addVoter(2, dir(2)) }, "35 Cluster doesn't support adding voter because the kraft.version feature is 0", ""},
		"remove":              {3, 0, func(d *driver) string { return d.removeVoter(1, dir(1)) }, "", "2/2 3/3"},
		"remove the dead":     {3, 1, func(d *driver) string { return d.removeVoter(1, dir(1)) }, "", "2/2 3/3"},
		"remove the living":   {3, 1, func(d *driver) string { return d.removeVoter(2, dir(2)) }, "7 Cannot remove voter " + two + ": only 1 of the 2 voters that would be left can be reached. Start them, or remove those that are lost first.", "1/1 2/2 3/3"},
		"remove unknown":      {1, 0, func(d *driver) string { return d.removeVoter(2, dir(2)) }, "127 Cannot remove voter " + two + " from the set of voters [" + one + "]", "1/1"},
		"remove other dir":    {2, 0, func(d *driver) string { return d.removeVoter(2, dir(1)) }, "127 Cannot remove voter ReplicaKey(id=2, directoryId=AAAAAAAAAAAAAAAAAAAAAQ) from the set of voters [" + one + ", " + two + "]", "1/1 2/2"},
		"remove no directory": {2, 0, func(d *driver) string { return d.removeVoter(2, UUID{}) }, "42 Remove voter request didn't include a valid voter", "1/1 2/2"},
		"remove the last":     {1, 0, func(d *driver) string { return d.removeVoter(1, dir(1)) }, "42 Cannot remove voter " + one + " from the set of voters [" + one + "]: it is the last one. Add another voter first.", "1/1"},
		"remove from none":    {0, 0, func(d *driver) string { return d.removeVoter(1, dir(1)) }, "35 Cluster doesn't support removing voter because the kraft.version feature is 0", ""},
	} {
		d := formed(t, 3, c.voters)
		d.c.cfg.Alive = func(id int32) bool { return id != c.dead }
		d.c.TakeChanges()
		if got := c.do(d); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if got := d.voters(); got != c.after {
			t.Errorf("%s: the voters are %s, want %s", name, got, c.after)
		}
		if told := d.c.TakeChanges().Members; told != (c.want == "") {
			t.Errorf("%s: that the voters changed is told: %t", name, told)
		}
		d.survives()
	}
}

// TestVoterThatLostItsDisk stays the voter that it was, until it is removed and the new one added.
func TestVoterThatLostItsDisk(t *testing.T) {
	d := formed(t, 3, 3)
	d.register(broker(3, 33))
	if v := d.c.Image().Voters()[2]; v.Node() != 4 || v.Directory != (UUID{15: 3}) {
		t.Fatalf("%+v", v)
	}
	if got := d.removeVoter(2, UUID{15: 2}); !strings.HasPrefix(got, "7 Cannot remove voter") {
		t.Errorf("with voter 3 lost, voter 2 can be removed: %q", got)
	}
	if got := d.removeVoter(3, UUID{15: 3}); got != "" {
		t.Fatal(got)
	}
	if got := d.addVoter(3, UUID{15: 33}); got != "" || d.c.Image().Voters()[2].Node() != 1<<32|4 {
		t.Fatalf("%q: %+v", got, d.c.Image().Voters())
	}
	d.survives()
}

// TestVoterThatMoves is known by its new address when it has registered.
func TestVoterThatMoves(t *testing.T) {
	d := formed(t, 2, 1)
	b := broker(1, 1)
	b.Peer = "elsewhere:9"
	d.register(b)
	if v := d.c.Image().Voters()[0]; v.Peer != "elsewhere:9" {
		t.Fatalf("%+v", v)
	}
	d.survives()
}

func TestSettingVoters(t *testing.T) {
	d := formed(t, 3, 1)
	were := d.c.Image().Voters()
	three := append(d.c.Image().Voters(), Voter{ID: 3}, Voter{ID: 2})
	for name, c := range map[string]struct {
		ask  SetVoters
		want string
	}{
		"from others": {SetVoters{Were: nil, Voters: three}, "The voters have changed meanwhile."},
		"none":        {SetVoters{Were: were}, "There must be a voter."},
		"one twice":   {SetVoters{Were: were, Voters: append(three, Voter{ID: 2, Directory: UUID{15: 9}})}, "A voter is named more than once."},
	} {
		if got := d.send(c.ask).(VotersSet); got.Refused != c.want || d.voters() != "1/1" {
			t.Errorf("%s: %+v, %s", name, got, d.voters())
		}
	}
	if got := d.send(SetVoters{Were: were, Voters: three}).(VotersSet); got.Refused != "" || d.voters() != "1/1 2/2 3/3" {
		t.Errorf("%+v, %s", got, d.voters())
	}
	if got := d.send(SetVoters{Were: were, Voters: were}).(VotersSet); got.Refused == "" {
		t.Error("the voters can be set from what they no longer are")
	}
	d.survives()
}
