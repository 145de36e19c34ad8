package cli

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func clusterCommand(o *options) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "cluster",
		Short: "Look after a cluster as a whole",
		Example: `  weir cluster status --watch
  weir cluster start-local --nodes 3
  weir cluster decommission 4`,
	})
	cmd.AddCommand(clusterInfoCommand(o), clusterStatusCommand(o), clusterHealthCommand(o), clusterStartLocalCommand(o),
		clusterDecommissionCommand(o), clusterUnregisterCommand(o), clusterRebalanceCommand(o),
		clusterVotersCommand(o), clusterAddVoterCommand(o), clusterRemoveVoterCommand(o), clusterFeaturesCommand(o))
	return cmd
}

// clusterInfo is what `cluster info` tells. Its JSON names are documented in the help.
type clusterInfo struct {
	ID              string           `json:"cluster_id"`
	Controller      int32            `json:"controller"`
	Brokers         []brokerInfo     `json:"brokers"`
	Topics          int              `json:"topics"`
	Partitions      int              `json:"partitions"`
	Leaderless      int              `json:"partitions_without_leader"`
	UnderReplicated int              `json:"partitions_under_replicated"`
	Groups          *int             `json:"groups"`
	Features        []clusterFeature `json:"features"`
}

type brokerInfo struct {
	ID       int32        `json:"id"`
	Host     string       `json:"host"`
	Port     int32        `json:"port"`
	Rack     string       `json:"rack"`
	Version  string       `json:"version"`
	Leaders  int          `json:"leaders"`
	Replicas int          `json:"replicas"`
	LogDirs  []logDirInfo `json:"log_dirs"`
}

type logDirInfo struct {
	Dir    string `json:"dir"`
	Bytes  int64  `json:"log_bytes"`
	Total  *int64 `json:"disk_bytes"`
	Usable *int64 `json:"disk_free_bytes"`
	Error  string `json:"error,omitempty"`
}

type clusterFeature struct {
	Name         string `json:"name"`
	Finalized    *int16 `json:"finalized"`
	SupportedMin int16  `json:"supported_min"`
	SupportedMax int16  `json:"supported_max"`
}

func clusterInfoCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "info",
		Short: "Show a cluster's brokers, how much they hold, and its features",
		Long: `Show a cluster's brokers, with how many partitions each leads and keeps, the size of its logs and the
room on its disks, the release of Apache Kafka if its APIs are those of one, and the cluster's features.
What the cluster does not tell is shown as -.

JSON: an object with the fields cluster_id, controller (where requests for the controller go; -1: nowhere),
topics, partitions, partitions_without_leader, partitions_under_replicated, groups (null: not known),
  brokers: id, host, port, rack, version, leaders, replicas, log_dirs (null: not known; else a list of dir,
  log_bytes, disk_bytes and disk_free_bytes (null: not known), error (only if there is one));
  features: name, finalized (null: not), supported_min, supported_max.`,
		Example: `  weir cluster info
  weir cluster info -o json | jq '[.brokers[].log_dirs[].log_bytes] | add'`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
			return o.ask(ctx, func(ctx context.Context, c *client) error {
				info, err := describeCluster(ctx, c)
				if err != nil {
					return err
				}
				return printCluster(o.printer(cmd), info)
			})
		}),
	}
}

func describeCluster(ctx context.Context, c *client) (clusterInfo, error) {
	metadata, err := c.admin.Metadata(ctx)
	if err != nil {
		return clusterInfo{}, err
	}
	info := clusterInfo{ID: metadata.Cluster, Controller: metadata.Controller, Topics: len(metadata.Topics), Brokers: []brokerInfo{}}
	leaders, replicas := map[int32]int{}, map[int32]int{}
	metadata.Topics.EachPartition(func(p kadm.PartitionDetail) {
		info.Partitions++
		leaders[p.Leader]++
		for _, id := range p.Replicas {
			replicas[id]++
		}
		if p.Leader < 0 {
			info.Leaderless++
		}
		if len(p.ISR) < len(p.Replicas) {
			info.UnderReplicated++
		}
	})
	if groups, err := c.groups(ctx); err == nil {
		n := len(groups)
		info.Groups = &n
	}
	// What follows not every cluster tells, nor every user may know: it stays unknown then.
	dirs, _ := c.admin.DescribeAllLogDirs(ctx, nil)
	versions, _ := c.admin.ApiVersions(ctx)
	for _, b := range metadata.Brokers {
		broker := brokerInfo{ID: b.NodeID, Host: b.Host, Port: b.Port, Leaders: leaders[b.NodeID], Replicas: replicas[b.NodeID]}
		if b.Rack != nil {
			broker.Rack = *b.Rack
		}
		if v, ok := versions[b.NodeID]; ok && v.Err == nil {
			broker.Version = kafkaRelease(v.VersionGuess())
			if info.Features == nil {
				info.Features = featuresOf(v.Raw())
			}
		}
		broker.LogDirs = logDirsOf(dirs[b.NodeID])
		info.Brokers = append(info.Brokers, broker)
	}
	info.Features = orEmpty(info.Features)
	return info, ctx.Err()
}

// kafkaRelease gives the release of Apache Kafka whose APIs a broker has; empty: it has those of none.
func kafkaRelease(guess string) string {
	if strings.HasPrefix(guess, "v") {
		return guess
	}
	if least, ok := strings.CutPrefix(guess, "at least "); ok {
		return ">=" + least
	}
	return ""
}

// logDirsOf sums up a broker's log directories; nil: not known.
func logDirsOf(described kadm.DescribedLogDirs) []logDirInfo {
	var all []logDirInfo
	for _, d := range described.Sorted() {
		dir := logDirInfo{Dir: d.Dir, Bytes: d.Size()}
		if d.TotalBytes >= 0 {
			dir.Total = &d.TotalBytes
		}
		if d.UsableBytes >= 0 {
			dir.Usable = &d.UsableBytes
		}
		if d.Err != nil {
			dir.Error = partitionError(d.Err)
		}
		all = append(all, dir)
	}
	return all
}

// featuresOf lists the features that a broker supports, with the level that the cluster has finalized.
func featuresOf(v *kmsg.ApiVersionsResponse) []clusterFeature {
	var features []clusterFeature
	for _, s := range v.SupportedFeatures {
		f := clusterFeature{Name: s.Name, SupportedMin: s.MinVersion, SupportedMax: s.MaxVersion}
		for i, finalized := range v.FinalizedFeatures {
			if finalized.Name == s.Name {
				f.Finalized = &v.FinalizedFeatures[i].MaxVersionLevel
			}
		}
		features = append(features, f)
	}
	slices.SortFunc(features, func(a, b clusterFeature) int { return cmp.Compare(a.Name, b.Name) })
	return features
}

func printCluster(p *printer, info clusterInfo) error {
	if p.json {
		return p.document(info)
	}
	controller := "no controller"
	if info.Controller >= 0 {
		controller = fmt.Sprintf("controller %d", info.Controller)
	}
	groups := ""
	if info.Groups != nil {
		groups = ", " + plural(int64(*info.Groups), "group")
	}
	if err := p.line("Cluster %s: %s, %s, %s, %s%s\n%s without a leader, %d under-replicated", escape(info.ID),
		plural(int64(len(info.Brokers)), "broker"), controller, plural(int64(info.Topics), "topic"), plural(int64(info.Partitions), "partition"), groups,
		plural(int64(info.Leaderless), "partition"), info.UnderReplicated); err != nil {
		return err
	}
	brokers := newTable("BROKER", "ADDRESS", "RACK", "LEADERS", "REPLICAS", "LOG-DIR", "LOG-SIZE", "DISK-FREE", "KAFKA?")
	for _, b := range info.Brokers {
		dirs := b.LogDirs
		if len(dirs) == 0 {
			dirs = []logDirInfo{{Bytes: -1}}
		}
		for _, d := range dirs {
			size := d.Error
			if d.Error == "" && d.Bytes >= 0 {
				size = wordOf(bytesText(float64(d.Bytes)))
			}
			free := ""
			if d.Usable != nil {
				free = wordOf(bytesText(float64(*d.Usable)))
			}
			brokers.row(b.ID, net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))), b.Rack, b.Leaders, b.Replicas, d.Dir, size, free, b.Version)
		}
	}
	if err := p.table(brokers); err != nil {
		return err
	}
	if len(info.Features) == 0 {
		return nil
	}
	features := newTable("FEATURE", "FINALIZED", "SUPPORTED")
	for _, f := range info.Features {
		finalized := ""
		if f.Finalized != nil {
			finalized = strconv.Itoa(int(*f.Finalized))
		}
		features.row(f.Name, finalized, fmt.Sprintf("%d-%d", f.SupportedMin, f.SupportedMax))
	}
	return p.table(features)
}
