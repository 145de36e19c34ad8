package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/cluster"
)

// updateFeatures answers UpdateFeatures 0–2.
func (b *Broker) updateFeatures(r *server.Request, req *kmsg.UpdateFeaturesRequest) {
	b.Controller.Submit(cluster.Request{Body: req}, func(reply any, err error) {
		if err == nil {
			r.Reply(reply.(*kmsg.UpdateFeaturesResponse))
			return
		}
		resp := req.ResponseKind().(*kmsg.UpdateFeaturesResponse)
		ke := controllerError(err)
		resp.ErrorCode, resp.ErrorMessage = ke.Code, described(ke)
		r.Reply(resp)
	})
}

// describeFeatures says in an ApiVersions answer what this version supports, and which levels are in effect.
func describeFeatures(resp *kmsg.ApiVersionsResponse, img *cluster.Image) {
	for _, f := range cluster.Features() {
		can := kmsg.NewApiVersionsResponseSupportedFeature()
		can.Name, can.MinVersion, can.MaxVersion = f.Name, f.Min, f.Max
		resp.SupportedFeatures = append(resp.SupportedFeatures, can)
	}
	for _, l := range img.Levels() {
		level := kmsg.NewApiVersionsResponseFinalizedFeature()
		level.Name, level.MinVersionLevel, level.MaxVersionLevel = l.Name, l.Level, l.Level
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, level)
	}
	resp.FinalizedFeaturesEpoch = img.Version()
}
