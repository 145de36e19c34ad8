package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// A pass is what a sink takes at once: the same documents in each, but for their status.
var passes = []string{"new", "paid"}

func document(i int, status string) string {
	return fmt.Sprintf(`{"id":%d,"customer_id":%d,"sku":"SKU-%08d","qty":%d,"price":%d.25,"status":"%s","note":"%s","created":%d}`,
		i, i%5000, i%9999, i%7+1, i%900, status, note, 1_700_000_000_000+i)
}

const documentSchema = `{"type":"struct","fields":[{"type":"int64","optional":false,"field":"id"},{"type":"int32","optional":false,"field":"customer_id"},` +
	`{"type":"string","optional":false,"field":"sku"},{"type":"int32","optional":false,"field":"qty"},{"type":"double","optional":false,"field":"price"},` +
	`{"type":"string","optional":false,"field":"status"},{"type":"string","optional":false,"field":"note"},` +
	`{"type":"int64","optional":false,"name":"org.apache.kafka.connect.data.Timestamp","version":1,"field":"created"}],"optional":false,"name":"document"}`

// measureSQL has a sink insert rows, which warms a JVM up, and then update them.
func measureSQL(ctx context.Context, s *site) (values, error) {
	rows := s.r.sizes.count(400_000)
	if err := s.pg.run(ctx, "DROP TABLE IF EXISTS documents"); err != nil {
		return nil, err
	}
	var v values
	for _, status := range passes {
		topic := "rows_" + status
		if err := s.topic(ctx, topic, rows,
			func(i int) string {
				return fmt.Sprintf(`{"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"field":"id"}],"optional":false,"name":"key"},"payload":{"id":%d}}`, i)
			},
			func(i int) string {
				return `{"schema":` + documentSchema + `,"payload":` + document(i, status) + `}`
			}); err != nil {
			return nil, err
		}
		name := s.name("sql")
		if err := s.create(ctx, name, s.sqlSink(topic)); err != nil {
			return nil, err
		}
		var err error
		if v, err = s.carry(ctx, name, rows, func(ctx context.Context) (int, error) { return s.written(ctx, status, rows) }); err != nil {
			return nil, err
		}
		if err := s.delete(ctx, name); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// sqlSink is the configuration of a sink as it comes: of Debezium's for Kafka's worker, and of Confluent's, which is not to be had from
// Maven Central, for Weir's.
func (s *site) sqlSink(topic string) map[string]string {
	config := map[string]string{"tasks.max": "1", "topics": topic, "connection.password": "x", "insert.mode": "upsert"}
	url := fmt.Sprintf("jdbc:postgresql://127.0.0.1:%d/postgres", s.pg.port)
	if s.column == kafkaWorker {
		maps.Copy(config, map[string]string{"connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector", "connection.url": url, "connection.username": "postgres",
			"primary.key.mode": "record_key", "schema.evolution": "basic", "collection.name.format": "documents"})
	} else {
		maps.Copy(config, map[string]string{"connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector", "connection.url": url, "connection.user": "postgres",
			"pk.mode": "record_key", "auto.create": "true", "table.name.format": "documents"})
	}
	return config
}

// written gives all if the last of each partition has the status, 1 if the first of one has it, and else 0: a sink takes those of a partition
// in their order.
func (s *site) written(ctx context.Context, status string, all int) (int, error) {
	if there, err := s.pg.count(ctx, "SELECT count(*) FROM pg_class WHERE relname = 'documents'"); err != nil || there == 0 {
		return 0, err
	}
	have := func(from int) (int, error) {
		return s.pg.count(ctx, "SELECT count(*) FROM documents WHERE id >= $1 AND id < $2 AND status = $3", from, from+partitions, status)
	}
	return between(all, have)
}

// between looks at the first and at the last of all partitions.
func between(all int, have func(from int) (int, error)) (int, error) {
	last, err := have(all - partitions)
	if err != nil || last == partitions {
		return all, err
	}
	first, err := have(0)
	return min(first, 1), err
}

// measureMirror copies a topic within the node, under another name.
func measureMirror(ctx context.Context, s *site) (values, error) {
	records := s.r.sizes.count(500_000)
	value := strings.Repeat("a value that does not end so soon; ", 6)[:190]
	if err := s.topic(ctx, "mirrored", records, func(i int) string { return fmt.Sprintf("key-%06d", i) }, func(int) string { return value }); err != nil {
		return nil, err
	}
	name := s.name("mirror")
	if err := s.create(ctx, name, map[string]string{
		"connector.class": "org.apache.kafka.connect.mirror.MirrorSourceConnector", "tasks.max": "1", "topics": "mirrored",
		"source.cluster.alias": name, "source.cluster.bootstrap.servers": s.node.bootstrap()[0], "target.cluster.alias": "here", "target.cluster.bootstrap.servers": s.node.bootstrap()[0],
		"replication.factor": "1", "offset-syncs.topic.replication.factor": "1", "sync.topic.acls.enabled": "false",
		"key.converter":   "org.apache.kafka.connect.converters.ByteArrayConverter",
		"value.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
	}); err != nil {
		return nil, err
	}
	v, err := s.carry(ctx, name, records, func(ctx context.Context) (int, error) { return s.held(ctx, name+".mirrored") })
	if err != nil {
		return nil, err
	}
	return v, s.delete(ctx, name)
}

const searchScript = "test/opensearch/run.sh"

// A search is an OpenSearch, if there is need for one.
type search struct {
	process
	url string
}

func (o *search) started(ctx context.Context, dir string) error {
	if o.runs() {
		return nil
	}
	port, err := freePorts(2)
	if err != nil {
		return err
	}
	o.process, o.url = process{name: "OpenSearch", home: filepath.Join(dir, "opensearch")}, fmt.Sprintf("http://127.0.0.1:%d", port)
	if err := os.MkdirAll(o.home, 0o755); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, searchScript, "fetch").CombinedOutput(); err != nil {
		return fmt.Errorf("%s fetch: %w\n%s", searchScript, err, out)
	}
	cmd := exec.Command(searchScript, "serve", o.home, fmt.Sprint(port))
	cmd.Env = append(os.Environ(), "OPENSEARCH_JAVA=-XX:+UseG1GC")
	if err := o.begin(cmd); err != nil {
		return err
	}
	return o.until(ctx, "answering", func() bool {
		_, err := ask(ctx, "GET", o.url+"/_cluster/health", nil)
		return err == nil
	})
}

func (o *search) stop() error { return o.end(syscall.SIGKILL) }

// measureSearch has a sink write documents into an index, which warms OpenSearch up, and then into another.
func measureSearch(ctx context.Context, s *site) (values, error) {
	if err := s.search.started(ctx, s.r.dir); err != nil {
		return nil, err
	}
	documents := s.r.sizes.count(300_000)
	var v values
	for _, status := range passes {
		topic := "docs_" + status
		if err := s.topic(ctx, topic, documents, func(i int) string { return fmt.Sprint(i) }, func(i int) string { return document(i, status) }); err != nil {
			return nil, err
		}
		config := maps.Clone(jsonWithoutSchemas)
		maps.Copy(config, map[string]string{"connector.class": "io.aiven.kafka.connect.opensearch.OpensearchSinkConnector", "tasks.max": "1", "topics": topic,
			"connection.url": s.search.url, "key.ignore": "false", "schema.ignore": "true", "key.converter": "org.apache.kafka.connect.storage.StringConverter"})
		delete(config, "key.converter.schemas.enable")
		name := s.name("opensearch")
		if err := s.create(ctx, name, config); err != nil {
			return nil, err
		}
		var err error
		if v, err = s.carry(ctx, name, documents, func(ctx context.Context) (int, error) { return s.indexed(ctx, topic, documents) }); err != nil {
			return nil, err
		}
		if err := s.delete(ctx, name); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// indexed is as written.
func (s *site) indexed(ctx context.Context, index string, all int) (int, error) {
	return between(all, func(from int) (int, error) {
		var ids []string
		for i := range partitions {
			ids = append(ids, fmt.Sprint(from+i))
		}
		text, err := ask(ctx, "POST", s.search.url+"/"+index+"/_mget?_source=false", map[string]any{"ids": ids})
		if err != nil {
			return 0, err
		}
		var found struct{ Docs []struct{ Found bool } }
		if err := json.Unmarshal(text, &found); err != nil {
			return 0, err
		}
		n := 0
		for _, d := range found.Docs {
			if d.Found {
				n++
			}
		}
		return n, nil
	})
}
