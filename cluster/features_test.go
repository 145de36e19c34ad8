package cluster

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/coordinator/machine"
)

func (d *driver) update(version int16, validate bool, updates ...kmsg.UpdateFeaturesRequestFeatureUpdate) *kmsg.UpdateFeaturesResponse {
	d.t.Helper()
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.Version, req.ValidateOnly, req.FeatureUpdates = version, validate, updates
	return d.send(Request{Body: req}).(*kmsg.UpdateFeaturesResponse)
}

func level(name string, level int16, kind int8) kmsg.UpdateFeaturesRequestFeatureUpdate {
	u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	u.Feature, u.MaxVersionLevel, u.UpgradeType = name, level, kind
	return u
}

// newer makes a cluster at level 1 whose controller, and so many of its three brokers, support level 3.
func newer(t *testing.T, brokers int32) *driver {
	d := newDriver(t, 3)
	d.c.cfg.Features = []Feature{{MetadataVersion, 33, 33}, {WeirVersion, 1, 3}, {"other", 0, 2}}
	d.c.cfg.Self = 7
	for id := range brokers {
		b := *d.c.Image().Broker(id + 1)
		b.Features = d.c.cfg.Features
		d.register(b)
	}
	return d
}

// TestUpdatingFeatures: what is refused is in Kafka's words, and nothing of it is done.
func TestUpdatingFeatures(t *testing.T) {
	type updates = []kmsg.UpdateFeaturesRequestFeatureUpdate
	for name, c := range map[string]struct {
		brokers int32
		at      int16 // the level before
		updates updates
		want    string
		after   int16
	}{
		"raised":                 {3, 1, updates{level(WeirVersion, 3, 1)}, "", 3},
		"the same":               {3, 1, updates{level(WeirVersion, 1, 1)}, "", 1},
		"the same, safe":         {3, 1, updates{level(WeirVersion, 1, 2)}, "", 1},
		"the same, twice":        {3, 1, updates{level(WeirVersion, 1, 1), level(WeirVersion, 1, 1)}, "", 1},
		"of several":             {3, 1, updates{level(WeirVersion, 2, 1), level("other", 1, 1)}, "", 2},
		"one of several unknown": {3, 1, updates{level(WeirVersion, 2, 1), level("nope", 3, 1)}, "Invalid update version 3 for feature nope. Local controller 7 does not support this feature.", 1},
		"not found":              {3, 1, updates{level("nope", 0, 1)}, "Invalid update version 0 for feature nope. Feature nope not found.", 1},
		"negative":               {3, 1, updates{level("nope", -1, 1)}, "Invalid update version -1 for feature nope. A feature version cannot be less than 0.", 1},
		"too high":               {3, 1, updates{level(WeirVersion, 4, 1)}, "Invalid update version 4 for feature weir.version. Local controller 7 only supports versions 1-3", 1},
		"too low":                {3, 1, updates{level(WeirVersion, 0, 2)}, "Invalid update version 0 for feature weir.version. Local controller 7 only supports versions 1-3", 1},
		"one level only":         {3, 1, updates{level(MetadataVersion, 32, 2)}, "Invalid update version 32 for feature metadata.version. Local controller 7 only supports versions 33", 1},
		"a broker cannot":        {2, 1, updates{level(WeirVersion, 2, 1)}, "Invalid update version 2 for feature weir.version. Broker 3 only supports versions 1", 1},
		"a broker does not know": {2, 1, updates{level("other", 1, 1)}, "Invalid update version 1 for feature other. Broker 3 does not support this feature.", 1},
		"type 0":                 {3, 1, updates{level(WeirVersion, 2, 0)}, "Invalid update version 2 for feature weir.version. The controller does not support the given upgrade type.", 1},
		"type 9":                 {3, 1, updates{level("nope", 0, 9)}, "Invalid update version 0 for feature nope. The controller does not support the given upgrade type.", 1},
		"raised by a downgrade":  {3, 1, updates{level(WeirVersion, 2, 2)}, "Invalid update version 2 for feature weir.version. Can't downgrade to a newer version.", 1},
		"lowered by an upgrade":  {3, 3, updates{level(WeirVersion, 2, 1)}, "Invalid update version 2 for feature weir.version. Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.", 3},
		"lowered":                {3, 3, updates{level(WeirVersion, 2, 2)}, "Unsupported weir.version downgrade from 3 to 2. Refusing to perform the requested downgrade because it might delete metadata information.", 3},
		"lowered unsafely":       {3, 3, updates{level(WeirVersion, 2, 3)}, "Unsupported weir.version downgrade from 3 to 2. Unsafe metadata downgrade is not supported in this version.", 3},
	} {
		for _, validate := range []bool{true, false} {
			d := newer(t, c.brokers)
			if c.at > 1 {
				d.update(2, false, level(WeirVersion, c.at, 1))
			}
			d.c.TakeChanges()
			resp := d.update(2, validate, c.updates...)
			got := ""
			if resp.ErrorMessage != nil {
				got = strings.TrimPrefix(*resp.ErrorMessage, "The update failed for all features since the following feature had an error: ")
			}
			if got != c.want || (resp.ErrorCode == 95) != (c.want != "") || resp.Results != nil {
				t.Errorf("%s: %d %q, want %q", name, resp.ErrorCode, got, c.want)
			}
			after := c.after
			if validate {
				after = c.at
			}
			if got := d.c.Image().Level(WeirVersion); got != after {
				t.Errorf("%s (validating %t): level %d, want %d", name, validate, got, after)
			}
			if told := d.c.TakeChanges().Members; told != (after != c.at) {
				t.Errorf("%s: that a level changed is told: %t", name, told)
			}
			d.survives()
		}
	}
}

// TestUpdatingFeaturesInOldVersions: they answer for each feature, and version 0 knows upgrades only, and no validating.
func TestUpdatingFeaturesInOldVersions(t *testing.T) {
	d := newer(t, 3)
	for version := range int16(2) {
		resp := d.update(version, false, level(WeirVersion, 2, 1), level(WeirVersion, 2, 1))
		if resp.ErrorCode != 0 || len(resp.Results) != 2 || resp.Results[1].Feature != WeirVersion || *resp.Results[1].ErrorMessage != "NONE" {
			t.Errorf("version %d: %+v", version, resp)
		}
		if resp := d.update(version, false, level(WeirVersion, 2, 1), level("nope", 2, 1)); resp.ErrorCode != 95 || resp.Results != nil {
			t.Errorf("version %d: %+v", version, resp)
		}
	}
	if resp := d.update(0, true, level(WeirVersion, 3, 9)); resp.ErrorCode != 0 || d.c.Image().Level(WeirVersion) != 3 {
		t.Errorf("%+v at level %d", resp, d.c.Image().Level(WeirVersion))
	}
}

// TestFirstBrokerSetsTheLevels: a new cluster begins at what its first broker's version has; a log from before has the levels
// that it was written with.
func TestFirstBrokerSetsTheLevels(t *testing.T) {
	d := newDriver(t, 0)
	d.c.cfg.Features = []Feature{{MetadataVersion, 33, 34}, {WeirVersion, 1, 2}}
	b := broker(1, 1)
	b.Features = d.c.cfg.Features
	d.register(b)
	if img := d.c.Image(); img.Level(MetadataVersion) != 34 || img.Level(WeirVersion) != 2 {
		t.Errorf("%+v", img.Levels())
	}
	d.survives()
	old := broker(2, 2)
	if got := d.register(old); got.Refused != "Unable to register because the broker does not support finalized version 34 of metadata.version. The broker wants a version between 33 and 33, inclusive." || d.c.Image().Broker(2) != nil {
		t.Errorf("%+v", got)
	}

	d = newDriver(t, 0)
	d.log = []machine.Record{{Key: []byte(kindBroker), Value: []byte(`{"id":1,"endpoints":[]}`)}}
	d.replay()
	d.c.cfg.Features = []Feature{{MetadataVersion, 33, 34}, {WeirVersion, 1, 2}}
	d.register(old)
	if img := d.c.Image(); img.Level(MetadataVersion) != 33 || img.Level(WeirVersion) != 1 || img.Level("none") != 0 {
		t.Errorf("%+v", img.Levels())
	}
}

// TestVoterThatNeverRegistered may be of any version.
func TestVoterThatNeverRegistered(t *testing.T) {
	d := newer(t, 3)
	d.send(SetVoters{Voters: []Voter{{ID: 1}, {ID: 9}}})
	if got := d.update(2, false, level(WeirVersion, 2, 1)); got.ErrorMessage == nil || !strings.HasSuffix(*got.ErrorMessage, "controller 9 has not registered, and may not support this feature") {
		t.Errorf("%+v", got)
	}
}

// TestLevelsOfOtherVersions: a version does not run with levels that it does not know.
func TestLevelsOfOtherVersions(t *testing.T) {
	for value, want := range map[string]string{
		`{"levels":{"metadata.version":33,"weir.version":2}}`:             "newer version",
		`{"levels":{"metadata.version":33,"weir.version":1,"novelty":1}}`: "newer version",
		`{"levels":{"metadata.version":32,"weir.version":1}}`:             "older version",
		`{"levels":{"metadata.version":33,"weir.version":1}}`:             "",
	} {
		d := newDriver(t, 0)
		err := d.c.Replay(machine.Record{Key: []byte(kindFeatures), Value: []byte(value)})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", value, err)
		}
	}
	for _, f := range unsaid() {
		if can := (&Controller{}).feature(f.Name); f.Level < can.Min || f.Level > can.Max {
			t.Errorf("this version does not support level %d of %s, which logs without levels have", f.Level, f.Name)
		}
	}
}
