package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
)

// The only feature with a level: tools read Kafka's version from it. Transactions, and the newer kinds of groups, are not
// there, and so their levels are not named.
const (
	metadataVersion = "metadata.version"
	metadataLevel   = 33 // Kafka 4.4
)

// updateFeatures answers UpdateFeatures 0–2. There is one level of one feature: whoever asks for it has it, and any other is
// refused.
func (b *Broker) updateFeatures(r *server.Request, req *kmsg.UpdateFeaturesRequest) {
	resp := req.ResponseKind().(*kmsg.UpdateFeaturesResponse)
	for _, u := range req.FeatureUpdates {
		text := checkFeature(req.Version, u)
		if text != "" && resp.ErrorCode == 0 {
			resp.ErrorCode = kerr.InvalidUpdateVersion.Code
			resp.ErrorMessage = kmsg.StringPtr("The update failed for all features since the following feature had an error: " + text)
		}
	}
	if req.Version < 2 && resp.ErrorCode == 0 { // from version 2 on all goes well, or nothing is done
		for _, u := range req.FeatureUpdates {
			out := kmsg.NewUpdateFeaturesResponseResult()
			out.Feature = u.Feature
			resp.Results = append(resp.Results, out)
		}
	}
	r.Reply(resp)
}

// checkFeature tells in Kafka's words what is wrong with an update; "": nothing.
func checkFeature(version int16, u kmsg.UpdateFeaturesRequestFeatureUpdate) string {
	const upgrade, unsafe = 1, 3
	wrong := fmt.Sprintf("Invalid update version %d for feature %s. ", u.MaxVersionLevel, u.Feature)
	switch {
	case u.Feature != metadataVersion && u.MaxVersionLevel == 0:
		return wrong + "Feature " + u.Feature + " not found."
	case u.Feature != metadataVersion:
		return wrong + "Local controller does not support this feature."
	case version >= 1 && (u.UpgradeType < upgrade || u.UpgradeType > unsafe):
		return wrong + "The controller does not support the given upgrade type."
	case u.MaxVersionLevel != metadataLevel:
		return wrong + fmt.Sprintf("Local controller only supports versions %d-%d", metadataLevel, metadataLevel)
	}
	return ""
}
