package test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestMembersThatAreNotThere: brokers and voters are not changed by requests that mean others.
func TestMembersThatAreNotThere(t *testing.T) {
	n := shared(t)
	unregister := kmsg.NewPtrUnregisterBrokerRequest()
	unregister.BrokerID = 4711
	if got := mustAsk[*kmsg.UnregisterBrokerResponse](n, unregister, 0); got.ErrorCode != 102 || *got.ErrorMessage != "Broker ID 4711 is not currently registered" {
		t.Errorf("%+v", got)
	}
	other := "AAAAAAAAAAAAAAAAAAAAAA"
	for want, clusterID := range map[int16]*string{104: &other, 42: nil} {
		for version := range int16(2) {
			add := kmsg.NewPtrAddRaftVoterRequest()
			add.ClusterID, add.VoterID = clusterID, 4711
			if got := mustAsk[*kmsg.AddRaftVoterResponse](n, add, version); got.ErrorCode != want || got.ErrorMessage == nil {
				t.Errorf("version %d: %s, want %d", version, describe(got.ErrorCode, got.ErrorMessage), want)
			}
		}
		remove := kmsg.NewPtrRemoveRaftVoterRequest()
		remove.ClusterID, remove.VoterID = clusterID, 4711
		if got := mustAsk[*kmsg.RemoveRaftVoterResponse](n, remove, 0); got.ErrorCode != want || got.ErrorMessage == nil {
			t.Errorf("%s, want %d", describe(got.ErrorCode, got.ErrorMessage), want)
		}
	}
}
