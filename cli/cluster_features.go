package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// featureLatest is the level that all brokers support.
const featureLatest = "latest"

// featureUpdate is a level that a feature shall get.
type featureUpdate struct {
	name      string
	level     int16
	latest    bool
	downgrade bool
}

// featureState is a feature and what brokers support of it. Its JSON names are documented in the help.
type featureState struct {
	clusterFeature
	After *int16 `json:"after,omitempty"`
}

func clusterFeaturesCommand(o *options) *cobra.Command {
	var up, down []string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "features",
		Short: "Show the levels of a cluster's features, and change them after an upgrade",
		Long: `Show the levels of a cluster's features: the one that is finalized, which all brokers keep to, and those that
all brokers support. After all brokers run a new release, --upgrade finalizes higher levels, which lets
them do what only the new release can. An upgrade may be impossible to take back.

JSON: a list of objects with the fields name, finalized (null: not), supported_min, supported_max,
after (only with --upgrade or --downgrade).`,
		Example: `  weir cluster features
  weir cluster features --upgrade metadata.version=latest --dry-run
  weir cluster features --upgrade group.version=1 --upgrade transaction.version=2`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
			updates, err := parseFeatures(up, down)
			if err != nil {
				return err
			}
			if dryRun && len(updates) == 0 {
				return usagef("--dry-run is about --upgrade and --downgrade")
			}
			return o.ask(ctx, func(ctx context.Context, c *client) error {
				features, err := c.features(ctx)
				if err != nil {
					return err
				}
				if len(updates) > 0 {
					if features, err = updateFeatures(ctx, c, features, updates, dryRun); err != nil {
						return err
					}
				}
				return printFeatures(o.printer(cmd), features)
			})
		}),
	}
	cmd.Flags().StringArrayVar(&up, "upgrade", nil, "a level to finalize, `feature=level`; the level may be latest; may be repeated")
	cmd.Flags().StringArrayVar(&down, "downgrade", nil, "a lower level to go back to, `feature=level`; 0 turns it off; may be repeated")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only ask the cluster whether it would do it")
	return cmd
}

func parseFeatures(up, down []string) ([]featureUpdate, error) {
	var updates []featureUpdate
	for i, text := range slices.Concat(up, down) {
		u := featureUpdate{downgrade: i >= len(up)}
		flag := "--upgrade"
		if u.downgrade {
			flag = "--downgrade"
		}
		name, level, ok := strings.Cut(text, "=")
		n, err := strconv.ParseInt(level, 10, 16)
		u.name, u.level, u.latest = name, int16(n), level == featureLatest && !u.downgrade
		if !ok || name == "" || err != nil && !u.latest || n < 0 {
			return nil, usagef("%s %q is not feature=level", flag, text)
		}
		if slices.ContainsFunc(updates, func(other featureUpdate) bool { return other.name == name }) {
			return nil, usagef("feature %q is given twice", name)
		}
		updates = append(updates, u)
	}
	return updates, nil
}

// features lists the cluster's features with the levels that all brokers support.
func (c *client) features(ctx context.Context) ([]featureState, error) {
	versions, err := c.admin.ApiVersions(ctx)
	if err != nil {
		return nil, err
	}
	var brokers [][]clusterFeature
	var newest *kmsg.ApiVersionsResponse
	for _, v := range versions.Sorted() {
		if v.Err != nil {
			return nil, fmt.Errorf("broker %d: %w", v.NodeID, v.Err)
		}
		raw := v.Raw()
		brokers = append(brokers, featuresOf(raw))
		if newest == nil || raw.FinalizedFeaturesEpoch > newest.FinalizedFeaturesEpoch {
			newest = raw
		}
	}
	if newest == nil {
		return nil, errors.New("no broker told its features")
	}
	return commonFeatures(featuresOf(newest), brokers), nil
}

// commonFeatures keeps of features what all brokers support.
func commonFeatures(of []clusterFeature, brokers [][]clusterFeature) []featureState {
	all := []featureState{}
	for _, f := range of {
		for _, broker := range brokers {
			i := slices.IndexFunc(broker, func(other clusterFeature) bool { return other.Name == f.Name })
			if i < 0 {
				f.SupportedMin, f.SupportedMax = 0, 0
				continue
			}
			f.SupportedMin, f.SupportedMax = max(f.SupportedMin, broker[i].SupportedMin), min(f.SupportedMax, broker[i].SupportedMax)
		}
		all = append(all, featureState{clusterFeature: f})
	}
	return all
}

// updateFeatures changes levels, or asks whether it could, and says what they were and are.
func updateFeatures(ctx context.Context, c *client, features []featureState, updates []featureUpdate, dryRun bool) ([]featureState, error) {
	request := kmsg.NewPtrUpdateFeaturesRequest()
	request.ValidateOnly = dryRun
	changed := []featureState{}
	for _, u := range updates {
		i := slices.IndexFunc(features, func(f featureState) bool { return f.Name == u.name })
		if i < 0 {
			return nil, unknownFeature(u.name, features)
		}
		f := features[i]
		if u.latest {
			u.level = f.SupportedMax
		}
		f.After = &u.level
		changed = append(changed, f)
		if f.Finalized != nil && *f.Finalized == u.level {
			continue
		}
		update := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		update.Feature, update.MaxVersionLevel, update.UpgradeType, update.AllowDowngrade = u.name, u.level, 1, u.downgrade
		if u.downgrade {
			update.UpgradeType = 2 // only where nothing is lost
		}
		request.FeatureUpdates = append(request.FeatureUpdates, update)
	}
	if len(request.FeatureUpdates) == 0 {
		return changed, nil
	}
	response, err := request.RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := answerError(response.ErrorCode, response.ErrorMessage); err != nil {
		return nil, fmt.Errorf("features: %w", err)
	}
	var failed []error
	for _, r := range response.Results { // of brokers before Kafka 4
		if err := answerError(r.ErrorCode, r.ErrorMessage); err != nil {
			failed = append(failed, fmt.Errorf("feature %q: %w", r.Feature, err))
		}
	}
	return changed, joined(failed...)
}

func unknownFeature(name string, features []featureState) error {
	var names []string
	for _, f := range features {
		names = append(names, f.Name)
	}
	slices.SortFunc(names, cmp.Compare)
	return fmt.Errorf("there is no feature %q: there are %s", name, strings.Join(names, ", "))
}

func printFeatures(p *printer, features []featureState) error {
	if p.json {
		return p.document(features)
	}
	t := newTable("FEATURE", "FINALIZED", "SUPPORTED", "AFTER?")
	for _, f := range features {
		t.row(f.Name, levelText(f.Finalized), fmt.Sprintf("%d-%d", f.SupportedMin, f.SupportedMax), levelText(f.After))
	}
	return p.table(t)
}

func levelText(level *int16) string {
	if level == nil {
		return ""
	}
	return strconv.Itoa(int(*level))
}
