package cluster

import (
	"testing"

	"pgregory.net/rapid"
)

// TestConfigsOfAllResources: configurations of topics, brokers and groups do not get into each other's way, in any order.
func TestConfigsOfAllResources(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		img, want := emptyImage(), map[Resource]bool{}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			r := Resource{
				rapid.SampledFrom([]ResourceKind{TopicResource, BrokerResource, GroupResource}).Draw(t, "kind"),
				rapid.StringMatching("[a-c]{0,3}").Draw(t, "name"),
			}
			value := &r.Name
			if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
				value = nil
			}
			if err := img.setConfig(configRecord{Kind: r.Kind, Name: r.Name, Key: "k", Value: value}); err != nil {
				t.Fatal(err)
			}
			delete(want, r)
			if value != nil {
				want[r] = true
			}
			for r := range want {
				if got, ok := img.Config(r)["k"]; !ok || got != r.Name {
					t.Fatalf("%v is lost", r)
				}
			}
			if img.configs.Len() != len(want) {
				t.Fatalf("%d resources, want %v", img.configs.Len(), want)
			}
		}
	})
}
