package connect

import (
	"context"
	"errors"

	"github.com/weir/weir/connect/convert"
	"github.com/weir/weir/connect/transform"
)

// otherPlugins are those that are no connectors.
func otherPlugins() []plugin {
	var out []plugin
	for _, p := range convert.Plugins() {
		out = append(out, plugin{class: p.Class, kind: string(p.Kind), version: p.Version, options: p.Options})
	}
	for _, p := range transform.Plugins() {
		out = append(out, plugin{class: p.Class, kind: string(p.Kind), version: p.Version, options: p.Options})
	}
	return out
}

// defaultConverter gives the converter that connectors have unless they are configured otherwise.
func (w *Worker) defaultConverter(option string) string {
	if class := w.settings.raw[option]; class != "" {
		return class
	}
	if option == "header.converter" {
		return "org.apache.kafka.connect.storage.SimpleHeaderConverter"
	}
	return "org.apache.kafka.connect.json.JsonConverter"
}

// cluster gives the id of the Kafka cluster; "": it is not known.
func (w *Worker) cluster(ctx context.Context) string {
	if w.cfg.ClusterID != nil {
		return w.cfg.ClusterID()
	}
	w.mu.Lock()
	known, s := w.clusterID, w.store
	w.mu.Unlock()
	if t, ok := s.(*topics); ok && known == "" {
		if meta, err := t.admin.BrokerMetadata(ctx); err == nil {
			w.mu.Lock()
			w.clusterID = meta.Cluster
			w.mu.Unlock()
			return meta.Cluster
		}
	}
	return known
}

func newRuntime(*Worker) (engine, error) { return nil, errors.New("package runtime is not there yet") }
