package cli

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// metadataTopic is the log that the cluster's metadata is in.
const metadataTopic = "__cluster_metadata"

// quorum is what is known of the nodes that keep the cluster's metadata. Its JSON names are documented in the help.
type quorum struct {
	Leader        int32         `json:"leader"`
	Epoch         int32         `json:"leader_epoch"`
	HighWatermark int64         `json:"high_watermark"`
	Members       []quorumVoter `json:"members"`
}

type quorumVoter struct {
	ID        int32    `json:"id"`
	Role      string   `json:"role"`
	Directory string   `json:"directory_id"`
	LogEnd    int64    `json:"log_end_offset"`
	Lag       *int64   `json:"offset_lag"`
	LagMs     *int64   `json:"time_lag_ms"`
	SilentMs  *int64   `json:"since_last_fetch_ms"`
	Endpoints []string `json:"endpoints"`
}

const (
	roleLeader   = "leader"
	roleVoter    = "voter"
	roleObserver = "observer"
)

// quorum asks who keeps the metadata.
func (c *client) quorum(ctx context.Context) (*quorum, error) {
	request := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic = metadataTopic
	topic.Partitions = append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	err = answerError(response.ErrorCode, response.ErrorMessage)
	if err == nil && (len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1) {
		err = errors.New("the cluster did not say who keeps its metadata")
	}
	if err != nil {
		return nil, err
	}
	partition := response.Topics[0].Partitions[0]
	if err := answerError(partition.ErrorCode, partition.ErrorMessage); err != nil {
		return nil, fmt.Errorf("who keeps the metadata: %w", err)
	}
	return quorumOf(partition, response.Nodes), nil
}

// quorumOf puts what the leader knows of the others in relation to itself.
func quorumOf(p kmsg.DescribeQuorumResponseTopicPartition, nodes []kmsg.DescribeQuorumResponseNode) *quorum {
	q := &quorum{Leader: p.LeaderID, Epoch: p.LeaderEpoch, HighWatermark: p.HighWatermark}
	end, now := int64(-1), int64(-1)
	for _, v := range p.CurrentVoters {
		if v.ReplicaID == p.LeaderID {
			end, now = v.LogEndOffset, max(v.LastCaughtUpTimestamp, v.LastFetchTimestamp)
		}
	}
	add := func(states []kmsg.DescribeQuorumResponseTopicPartitionReplicaState, role string) {
		for _, s := range states {
			v := quorumVoter{ID: s.ReplicaID, Role: role, LogEnd: s.LogEndOffset, Endpoints: []string{}}
			if s.ReplicaDirectoryID != [16]byte{} {
				v.Directory = uuidText(s.ReplicaDirectoryID)
			}
			if end >= 0 && s.LogEndOffset >= 0 {
				v.Lag = ptr(max(0, end-s.LogEndOffset))
			}
			if s.ReplicaID == p.LeaderID {
				v.Role = roleLeader
			} else if now >= 0 {
				v.LagMs, v.SilentMs = since(now, s.LastCaughtUpTimestamp), since(now, s.LastFetchTimestamp)
			}
			for _, n := range nodes {
				if n.NodeID == s.ReplicaID && v.Role != roleObserver {
					for _, l := range n.Listeners {
						v.Endpoints = append(v.Endpoints, l.Name+"://"+net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port))))
					}
				}
			}
			q.Members = append(q.Members, v)
		}
	}
	add(p.CurrentVoters, roleVoter)
	add(p.Observers, roleObserver)
	slices.SortFunc(q.Members, func(a, b quorumVoter) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.ID, b.ID)) })
	return q
}

// rank puts voters before observers.
func rank(v quorumVoter) int {
	if v.Role == roleObserver {
		return 1
	}
	return 0
}

// since gives the time from one moment to another, both in ms; nil: it is not known.
func since(now, then int64) *int64 {
	if then < 0 {
		return nil
	}
	return ptr(max(0, now-then))
}

func ptr[T any](v T) *T { return &v }

// voters gives the members that vote.
func (q *quorum) voters() (voters []quorumVoter) {
	for _, v := range q.Members {
		if v.Role != roleObserver {
			voters = append(voters, v)
		}
	}
	return voters
}

// member gives a member; nil: there is none.
func (q *quorum) member(id int32) *quorumVoter {
	i := slices.IndexFunc(q.Members, func(v quorumVoter) bool { return v.ID == id })
	if i < 0 {
		return nil
	}
	return &q.Members[i]
}

// uuidText writes an id as Kafka's tools do.
func uuidText(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

func parseUUID(s string) (id [16]byte, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, usagef("%q is not an id of 22 letters as `weir cluster voters` shows them", s)
	}
	return [16]byte(b), nil
}

const quorumHelp = `  leader, leader_epoch, high_watermark,
  members: id, role (leader, voter or observer), directory_id, log_end_offset, offset_lag (behind the
  leader), time_lag_ms (since it had all that the leader had), since_last_fetch_ms, endpoints
  (null: not known).`

func clusterVotersCommand(o *options) *cobra.Command {
	w := watching{}
	cmd := &cobra.Command{
		Use:   "voters",
		Short: "Show the nodes that keep the cluster's metadata",
		Long: `Show the nodes that keep the cluster's metadata: the leader, which is the controller, the voters of which
more than half must be up, and the observers, which only follow. Lags are behind the leader.

JSON: an object with the fields
` + quorumHelp,
		Example: `  weir cluster voters
  weir cluster voters -o json | jq '.members[] | select(.role != "observer") | .id'`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	w.flags(cmd)
	cmd.RunE = o.run(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
		return o.watch(ctx, cmd, w, func(ctx context.Context, c *client, p *printer) error {
			q, err := c.quorum(ctx)
			if err != nil {
				return err
			}
			if p.json {
				return p.document(q)
			}
			return printQuorum(p, q)
		})
	})
	return cmd
}

func printQuorum(p *printer, q *quorum) error {
	t := newTable("NODE", "ROLE", "LOG-END", "LAG", "TIME-LAG", "LAST-FETCH", "DIRECTORY-ID?", "ENDPOINT?")
	for _, v := range q.Members {
		endpoint := ""
		if len(v.Endpoints) > 0 {
			endpoint = v.Endpoints[0]
		}
		t.row(v.ID, v.Role, v.LogEnd, number(v.Lag), ageText(v.LagMs), ageText(v.SilentMs), v.Directory, endpoint)
	}
	return p.table(t)
}

type voterChange struct{ directory, endpoint string }

func clusterAddVoterCommand(o *options) *cobra.Command {
	var change voterChange
	cmd := &cobra.Command{
		Use:   "add-voter NODE",
		Short: "Let a node vote on the cluster's metadata",
		Long: `Let a node vote on the cluster's metadata. The node must be running and follow the metadata already:
'weir cluster voters' shows it as an observer. With 3 voters one may fail, with 5 two.

JSON: an object with the fields id and directory_id.`,
		Example: `  weir cluster add-voter 4 --endpoint CONTROLLER://10.0.0.4:9093
  weir cluster add-voter 4 --endpoint CONTROLLER://10.0.0.4:9093 --directory-id vF6dK0pTSMeA5HPEJ1Qj7g`,
		Args:              needs("NODE", false),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			listener, err := parseEndpoint(change.endpoint)
			if err != nil {
				return err
			}
			return o.ask(ctx, func(ctx context.Context, c *client) error {
				directory, err := change.directoryOf(ctx, c, id, roleObserver)
				if err != nil {
					return err
				}
				request := kmsg.NewPtrAddRaftVoterRequest()
				request.TimeoutMillis = int32(min(o.timeout, time.Minute).Milliseconds())
				request.VoterID, request.VoterDirectoryID, request.Listeners = id, directory, append(request.Listeners, listener)
				response, err := request.RequestWith(ctx, c)
				if err == nil {
					err = answerError(response.ErrorCode, response.ErrorMessage)
				}
				if err != nil {
					return fmt.Errorf("node %d as a voter: %w", id, err)
				}
				return printVoterChange(o.printer(cmd), "Node %d votes.", id, directory)
			})
		}),
	}
	change.flags(cmd)
	cmd.Flags().StringVar(&change.endpoint, "endpoint", "", "where the other voters reach it, as `NAME://host:port`")
	return cmd
}

func clusterRemoveVoterCommand(o *options) *cobra.Command {
	var change voterChange
	cmd := &cobra.Command{
		Use:   "remove-voter NODE",
		Short: "Stop a node from voting on the cluster's metadata",
		Long: `Stop a node from voting on the cluster's metadata, before it is shut down for good or because it has
failed for good. If it was the leader, another voter takes over.

JSON: an object with the fields id and directory_id.`,
		Example: `  weir cluster remove-voter 4
  weir cluster remove-voter 4 --directory-id vF6dK0pTSMeA5HPEJ1Qj7g`,
		Args:              needs("NODE", false),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			return o.ask(ctx, func(ctx context.Context, c *client) error {
				directory, err := change.directoryOf(ctx, c, id, roleVoter)
				if err != nil {
					return err
				}
				request := kmsg.NewPtrRemoveRaftVoterRequest()
				request.VoterID, request.VoterDirectoryID = id, directory
				response, err := request.RequestWith(ctx, c)
				if err == nil {
					err = answerError(response.ErrorCode, response.ErrorMessage)
				}
				if err != nil {
					return fmt.Errorf("node %d as a voter: %w", id, err)
				}
				return printVoterChange(o.printer(cmd), "Node %d votes no more.", id, directory)
			})
		}),
	}
	change.flags(cmd)
	return cmd
}

func (v *voterChange) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&v.directory, "directory-id", "", "the `id` of the node's metadata directory, if the cluster does not know it")
}

// directoryOf makes sure that a node has the role that it needs, and gives the id of its metadata directory.
func (v *voterChange) directoryOf(ctx context.Context, c *client, id int32, role string) (directory [16]byte, err error) {
	q, err := c.quorum(ctx)
	if err != nil {
		return directory, err
	}
	m := q.member(id)
	votes := m != nil && m.Role != roleObserver
	switch {
	case role == roleObserver && votes && v.directory == "":
		return directory, fmt.Errorf("node %d votes already", id)
	case role == roleVoter && !votes:
		return directory, fmt.Errorf("node %d is no voter: `weir cluster voters` shows those", id)
	case role == roleVoter && len(q.voters()) == 1:
		return directory, fmt.Errorf("node %d is the last voter, and somebody must keep the metadata: add another first with `weir cluster add-voter`", id)
	case v.directory != "":
		return parseUUID(v.directory)
	case m == nil:
		return directory, fmt.Errorf("node %d does not follow the cluster's metadata: start it, and wait until `weir cluster voters` shows it as an observer", id)
	case m.Directory == "":
		return directory, nil // the cluster knows its nodes by their ids alone
	}
	return parseUUID(m.Directory)
}

func printVoterChange(p *printer, said string, id int32, directory [16]byte) error {
	if p.json {
		return p.document(struct {
			ID        int32  `json:"id"`
			Directory string `json:"directory_id"`
		}{id, uuidText(directory)})
	}
	return p.line(said, id)
}

// parseID reads the id of a node.
func parseID(s string) (int32, error) {
	id, err := strconv.ParseInt(s, 10, 32)
	if err != nil || id < 0 {
		return 0, usagef("%q is not the id of a node, which is a number", s)
	}
	return int32(id), nil
}

// parseEndpoint reads NAME://host:port.
func parseEndpoint(s string) (l kmsg.AddRaftVoterRequestListener, err error) {
	l = kmsg.NewAddRaftVoterRequestListener()
	wrong := usagef("--endpoint %q: write where the other voters reach the node, as CONTROLLER://host:port", s)
	name, address, ok := strings.Cut(s, "://")
	if !ok || name == "" {
		return l, wrong
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return l, wrong
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return l, wrong
	}
	l.Name, l.Host, l.Port = name, host, uint16(n)
	return l, nil
}
