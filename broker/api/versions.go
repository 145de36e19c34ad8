package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
)

// apiVersions answers ApiVersions 0–5 from the table. A version that is not known never gets here: the server answers it
// in version 0, so that every client can read it (KIP-511).
func (b *Broker) apiVersions(r *server.Request, req *kmsg.ApiVersionsRequest) {
	resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
	if req.Version >= 3 && !(validSoftware(req.ClientSoftwareName) && validSoftware(req.ClientSoftwareVersion)) {
		resp.ErrorCode = kerr.InvalidRequest.Code
		r.Reply(resp)
		return
	}
	if req.Version >= 5 && (req.ClusterID != nil && *req.ClusterID != b.ClusterID || req.NodeID >= 0 && req.NodeID != b.Self) {
		resp.ErrorCode = kerr.RebootstrapRequired.Code // the client means another broker that had this address (KIP-1242)
		r.Reply(resp)
		return
	}
	for i := range apis {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = int16(apis[i].key), apis[i].advertised, apis[i].max
		resp.ApiKeys = append(resp.ApiKeys, k)
	}
	describeFeatures(resp, b.Controller.Image())
	r.Reply(resp)
}

// validSoftware tells whether a client's name or version looks like one: letters and digits, with '-' and '.' inside.
func validSoftware(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case (c == '-' || c == '.') && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return s != ""
}
