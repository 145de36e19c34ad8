package cluster

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Voter is a node that votes on the metadata. It stays the incarnation that it was made a voter as: one that lost its disk is
// another voter.
type Voter struct {
	ID          int32  `json:"id"`
	Directory   UUID   `json:"directory,omitzero"` // zero: not known before it registers
	Incarnation int32  `json:"incarnation,omitempty"`
	Peer        string `json:"peer,omitempty"` // host:port where other nodes reach it
}

// Node gives the voter's number in the metadata's Raft group.
func (v Voter) Node() uint64 { return node(v.ID, v.Incarnation) }

// String names a voter as Kafka does.
func (v Voter) String() string {
	return fmt.Sprintf("ReplicaKey(id=%d, directoryId=%s)", v.ID, base64.RawURLEncoding.EncodeToString(v.Directory[:]))
}

// is tells whether a request means the voter. One whose directory is not known goes by its id.
func (v Voter) is(id int32, directory UUID) bool {
	return v.ID == id && (v.Directory == directory || v.Directory.IsZero())
}

// voter gives the broker as a voter.
func (b *Broker) voter() Voter {
	return Voter{ID: b.ID, Directory: b.Directory, Incarnation: b.Incarnation, Peer: b.Peer}
}

// Voters gives the voters of the metadata by id; nil: they were never said.
func (i *Image) Voters() []Voter { return slices.Clone(i.voters) }

// votersWith gives the voters with what a broker that is one of them says of itself; nil: nothing is new.
func (i *Image) votersWith(b *Broker) []Voter {
	at := slices.IndexFunc(i.voters, func(v Voter) bool { return v.is(b.ID, b.Directory) })
	if at < 0 || b.Directory.IsZero() {
		return nil
	}
	now := b.voter()
	if i.voters[at] == now {
		return nil
	}
	out := slices.Clone(i.voters)
	out[at] = now
	return out
}

// setVoters makes nodes the voters, if the voters are those that whoever asks knew.
func (c *Controller) setVoters(d *draft, r SetVoters) VotersSet {
	next := slices.Clone(r.Voters)
	for at, v := range next {
		if b := c.image.Broker(v.ID); b != nil && v.Directory.IsZero() && !b.Directory.IsZero() {
			next[at] = b.voter()
		}
	}
	slices.SortFunc(next, func(a, b Voter) int { return cmp.Compare(a.ID, b.ID) })
	twice := func() bool {
		return len(slices.CompactFunc(slices.Clone(next), func(a, b Voter) bool { return a.ID == b.ID })) < len(next)
	}
	switch {
	case !slices.Equal(r.Were, c.image.voters):
		return VotersSet{Refused: "The voters have changed meanwhile."}
	case len(next) == 0:
		return VotersSet{Refused: "There must be a voter."}
	case twice():
		return VotersSet{Refused: "A voter is named more than once."}
	case !slices.Equal(next, c.image.voters):
		d.put(kindVoters, votersRecord{Voters: next})
	}
	return VotersSet{}
}

func (c *Controller) addRaftVoter(d *draft, req *kmsg.AddRaftVoterRequest) *kmsg.AddRaftVoterResponse {
	resp := req.ResponseKind().(*kmsg.AddRaftVoterResponse)
	voters, p := c.planVoter(req.VoterID, req.VoterDirectoryID)
	if p != nil {
		resp.ErrorCode, resp.ErrorMessage = p.code.Code, &p.message
		return resp
	}
	d.put(kindVoters, votersRecord{Voters: voters})
	return resp
}

// planVoter gives the voters with one more.
func (c *Controller) planVoter(id int32, directory UUID) ([]Voter, *problem) {
	v := Voter{ID: id, Directory: directory}
	b := c.image.Broker(id)
	switch {
	case id < 0 || directory.IsZero():
		return nil, fail(kerr.InvalidRequest, "Add voter request didn't include a valid voter")
	case c.image.voters == nil:
		return nil, fail(kerr.UnsupportedVersion, "Cluster doesn't support adding voter because the kraft.version feature is 0")
	case slices.ContainsFunc(c.image.voters, func(v Voter) bool { return v.ID == id }):
		return nil, fail(kerr.DuplicateVoter, "The voter id for %s is already part of the set of voters %s.", v, voterNames(c.image.voters))
	case b == nil || b.Directory != directory:
		return nil, fail(kerr.RequestTimedOut, "New voter %s is not ready to receive requests: no broker with this id and directory is registered", v)
	case !c.alive(id):
		return nil, fail(kerr.RequestTimedOut, "New voter %s is not ready to receive requests: the broker cannot be reached", v)
	}
	out := append(slices.Clone(c.image.voters), b.voter())
	slices.SortFunc(out, func(a, b Voter) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

func (c *Controller) removeRaftVoter(d *draft, req *kmsg.RemoveRaftVoterRequest) *kmsg.RemoveRaftVoterResponse {
	resp := req.ResponseKind().(*kmsg.RemoveRaftVoterResponse)
	voters, p := c.planWithout(req.VoterID, req.VoterDirectoryID)
	if p != nil {
		resp.ErrorCode, resp.ErrorMessage = p.code.Code, &p.message
		return resp
	}
	d.put(kindVoters, votersRecord{Voters: voters})
	return resp
}

// planWithout gives the voters without one. Those that are left must be able to decide: with too few of them alive, the
// removal would never be agreed on, and nothing after it.
func (c *Controller) planWithout(id int32, directory UUID) ([]Voter, *problem) {
	named := Voter{ID: id, Directory: directory}
	left := slices.DeleteFunc(slices.Clone(c.image.voters), func(v Voter) bool { return v.is(id, directory) })
	alive := 0
	for _, v := range left {
		if c.voterAlive(v) {
			alive++
		}
	}
	switch {
	case id < 0 || directory.IsZero():
		return nil, fail(kerr.InvalidRequest, "Remove voter request didn't include a valid voter")
	case c.image.voters == nil:
		return nil, fail(kerr.UnsupportedVersion, "Cluster doesn't support removing voter because the kraft.version feature is 0")
	case len(left) == len(c.image.voters):
		return nil, fail(kerr.VoterNotFound, "Cannot remove voter %s from the set of voters %s", named, voterNames(c.image.voters))
	case len(left) == 0:
		return nil, fail(kerr.InvalidRequest, "Cannot remove voter %s from the set of voters %s: it is the last one. Add another voter first.", named, voterNames(c.image.voters))
	case 2*alive <= len(left):
		return nil, fail(kerr.RequestTimedOut, "Cannot remove voter %s: only %d of the %d voters that would be left can be reached. Start them, or remove those that are lost first.", named, alive, len(left))
	}
	return left, nil
}

// voterAlive tells whether a voter can be reached, and is still the one that it was.
func (c *Controller) voterAlive(v Voter) bool {
	b := c.image.Broker(v.ID)
	return (b == nil || b.Incarnation == v.Incarnation) && c.alive(v.ID)
}

func voterNames(voters []Voter) string {
	out := make([]string, len(voters))
	for i, v := range voters {
		out[i] = v.String()
	}
	return "[" + strings.Join(out, ", ") + "]"
}
