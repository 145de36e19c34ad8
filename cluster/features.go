package cluster

import (
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Feature is a range of levels that a version supports. The level of a feature is raised when all nodes support it, so that
// none gets what it does not understand while versions are mixed.
type Feature struct {
	Name string `json:"name"`
	Min  int16  `json:"min"`
	Max  int16  `json:"max"`
}

// Level is a level of a feature that is in effect.
type Level struct {
	Name  string
	Level int16
}

// Names of the features.
const (
	// MetadataVersion is how tools tell Kafka's version. Transactions, and the newer kinds of groups, are not there, and so
	// their levels are not named.
	MetadataVersion = "metadata.version"
	// WeirVersion gates what nodes say to each other and write into the metadata log.
	WeirVersion = "weir.version"
)

// Features gives what this version supports, by name.
func Features() []Feature {
	return []Feature{
		{MetadataVersion, 33, 33}, // Kafka 4.4
		{WeirVersion, 1, 1},
	}
}

// unsaid are the levels of logs, and the ranges of brokers, that do not say them. They never change.
func unsaid() []Level { return []Level{{MetadataVersion, 33}, {WeirVersion, 1}} }

// Level gives the level of a feature that is in effect; 0: there is none.
func (i *Image) Level(name string) int16 {
	if l, ok := i.levels[name]; ok {
		return l
	}
	for _, l := range unsaid() {
		if l.Name == name {
			return l.Level
		}
	}
	return 0
}

// Levels gives the levels of all features by name.
func (i *Image) Levels() []Level {
	all := map[string]int16{}
	for _, l := range unsaid() {
		all[l.Name] = l.Level
	}
	maps.Copy(all, i.levels)
	var out []Level
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, Level{name, all[name]})
	}
	return out
}

// feature gives the range that the broker supports; zero: it does not know the feature.
func (b *Broker) feature(name string) Feature {
	for _, f := range b.Features {
		if f.Name == name {
			return f
		}
	}
	for _, l := range unsaid() {
		if len(b.Features) == 0 && l.Name == name {
			return Feature{name, l.Level, l.Level}
		}
	}
	return Feature{Name: name}
}

// newest gives the highest level of each feature.
func newest(features []Feature) map[string]int16 {
	out := map[string]int16{}
	for _, f := range features {
		out[f.Name] = f.Max
	}
	return out
}

// features gives what the controller's version supports.
func (c *Controller) features() []Feature {
	if c.cfg.Features == nil {
		return Features()
	}
	return c.cfg.Features
}

func (c *Controller) feature(name string) Feature {
	for _, f := range c.features() {
		if f.Name == name {
			return f
		}
	}
	return Feature{Name: name}
}

// checkLevels refuses an image whose levels this version does not know.
func (c *Controller) checkLevels(i *Image) error {
	for _, l := range i.Levels() {
		switch f := c.feature(l.Name); {
		case l.Level > f.Max:
			return fmt.Errorf("the cluster is at level %d of %s, and this version knows levels up to %d only: start it with the newer version", l.Level, l.Name, f.Max)
		case l.Level < f.Min:
			return fmt.Errorf("the cluster is at level %d of %s, and this version needs %d at least: raise the level with the older version first", l.Level, l.Name, f.Min)
		}
	}
	return nil
}

// updateFeatures changes levels: all that are asked for, or none.
func (c *Controller) updateFeatures(d *draft, req *kmsg.UpdateFeaturesRequest) *kmsg.UpdateFeaturesResponse {
	resp := req.ResponseKind().(*kmsg.UpdateFeaturesResponse)
	next := map[string]int16{}
	for _, l := range c.image.Levels() {
		next[l.Name] = l.Level
	}
	for _, u := range req.FeatureUpdates {
		kind := u.UpgradeType
		if req.Version < 1 {
			kind = upgrade
		}
		if text := c.checkLevel(u.Feature, u.MaxVersionLevel, kind); text != "" {
			resp.ErrorCode = kerr.InvalidUpdateVersion.Code
			resp.ErrorMessage = kmsg.StringPtr("The update failed for all features since the following feature had an error: " + text)
			resp.Results = nil
			return resp
		}
		next[u.Feature] = u.MaxVersionLevel
		if req.Version < 2 { // from version 2 on all goes well, or nothing is done
			out := kmsg.NewUpdateFeaturesResponseResult()
			out.Feature, out.ErrorMessage = u.Feature, kmsg.StringPtr("NONE")
			resp.Results = append(resp.Results, out)
		}
	}
	changed := slices.ContainsFunc(c.image.Levels(), func(l Level) bool { return next[l.Name] != l.Level })
	if changed && !(req.ValidateOnly && req.Version >= 1) {
		d.put(kindFeatures, featuresRecord{Levels: next})
	}
	return resp
}

// The ways to change a level.
const (
	upgrade         = 1
	safeDowngrade   = 2
	unsafeDowngrade = 3
)

// checkLevel tells in Kafka's words what is wrong with a change; "": nothing.
func (c *Controller) checkLevel(name string, level int16, kind int8) string {
	wrong := fmt.Sprintf("Invalid update version %d for feature %s. ", level, name)
	now, can := c.image.Level(name), c.feature(name)
	switch {
	case kind < upgrade || kind > unsafeDowngrade:
		return wrong + "The controller does not support the given upgrade type."
	case level < 0:
		return wrong + "A feature version cannot be less than 0."
	case level == 0 && can.Max == 0:
		return wrong + "Feature " + name + " not found."
	}
	if text := unsupported(fmt.Sprintf("Local controller %d", c.cfg.Self), can, level); text != "" {
		return wrong + text
	}
	for b := range c.image.Brokers() {
		if text := unsupported(fmt.Sprintf("Broker %d", b.ID), b.feature(name), level); text != "" {
			return wrong + text
		}
	}
	for _, v := range c.image.voters {
		if c.image.Broker(v.ID) == nil {
			return wrong + fmt.Sprintf("controller %d has not registered, and may not support this feature", v.ID)
		}
	}
	switch down := fmt.Sprintf("Unsupported %s downgrade from %d to %d. ", name, now, level); {
	case level > now && kind != upgrade:
		return wrong + "Can't downgrade to a newer version."
	case level < now && kind == upgrade:
		return wrong + "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade."
	case level < now && kind == safeDowngrade:
		return down + "Refusing to perform the requested downgrade because it might delete metadata information."
	case level < now:
		return down + "Unsafe metadata downgrade is not supported in this version."
	}
	return ""
}

// unsupported tells in Kafka's words why somebody does not support a level; "": it does.
func unsupported(who string, can Feature, level int16) string {
	switch {
	case can.Min <= level && level <= can.Max:
		return ""
	case can.Max == 0:
		return who + " does not support this feature."
	case can.Min == can.Max:
		return fmt.Sprintf("%s only supports versions %d", who, can.Min)
	}
	return fmt.Sprintf("%s only supports versions %d-%d", who, can.Min, can.Max)
}
