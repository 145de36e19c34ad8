package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A site is where connectors are measured: a node of Weir, a PostgreSQL, an OpenSearch if need be, and one worker at a time.
type site struct {
	r      *run
	node   *cluster // of one
	pg     *postgres
	search *search
	client *kgo.Client
	admin  *kadm.Client
	made   map[string]bool // topics with what sinks and mirrors take
	names  int             // of connectors that were made

	column column
	worker *worker
}

func newSite(ctx context.Context, r *run, node *cluster) (s *site, err error) {
	s = &site{r: r, node: node, made: map[string]bool{}, search: &search{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := node.start(ctx); err != nil {
		return nil, err
	}
	if s.pg, err = startPostgres(ctx, r.dir); err != nil {
		return nil, err
	}
	if s.client, err = kgo.NewClient(kgo.SeedBrokers(node.bootstrap()...), kgo.MetadataMinAge(glanceTime), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(50_000)); err != nil {
		return nil, err
	}
	s.admin = kadm.NewClient(s.client)
	return s, nil
}

// close ends all but the node.
func (s *site) close() error {
	var failed error
	if s.client != nil {
		s.client.Close()
	}
	if s.worker != nil {
		failed = s.worker.kill()
	}
	if s.pg != nil {
		failed = errors.Join(failed, s.pg.stop())
	}
	return errors.Join(failed, s.search.stop())
}

// started starts the worker if it does not run.
func (s *site) started(ctx context.Context) error {
	if s.worker.runs() {
		return nil
	}
	return s.worker.start(ctx)
}

// name gives one that no connector, slot or table has had.
func (s *site) name(what string) string {
	s.names++
	return fmt.Sprintf("%s_%d", what, s.names)
}

func (s *site) create(ctx context.Context, name string, config map[string]string) error {
	_, err := s.worker.ask(ctx, "PUT", "/connectors/"+name+"/config", config)
	return err
}

func (s *site) delete(ctx context.Context, name string) error {
	_, err := s.worker.ask(ctx, "DELETE", "/connectors/"+name, nil)
	return err
}

var jsonWithoutSchemas = map[string]string{
	"key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
	"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
}

// source is the configuration of a connector that reads table orders.
func (s *site) source(name, snapshot string) map[string]string {
	config := maps.Clone(jsonWithoutSchemas)
	maps.Copy(config, map[string]string{
		"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1", "plugin.name": "pgoutput",
		"database.hostname": "127.0.0.1", "database.port": fmt.Sprint(s.pg.port), "database.user": "postgres", "database.password": "x", "database.dbname": "postgres",
		"topic.prefix": name, "slot.name": name, "publication.name": name, "publication.autocreate.mode": "filtered",
		"table.include.list": "public.orders", "snapshot.mode": snapshot,
	})
	return config
}

// topicOf is where a source's records go.
func topicOf(name string) string { return name + ".public.orders" }

const note = "the quick brown fox jumps over the lazy dog and then some more words follow so that the row is about two hundred bytes long"

// orders makes the table anew, with rows of about 200 bytes.
func (s *site) orders(ctx context.Context, rows int) error {
	return errors.Join(s.pg.run(ctx, "DROP TABLE IF EXISTS orders"),
		s.pg.run(ctx, `CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int NOT NULL, sku text NOT NULL, qty int NOT NULL, price numeric(12,2) NOT NULL,
			status text NOT NULL, note text NOT NULL, created timestamptz NOT NULL DEFAULT now())`),
		s.pg.run(ctx, `INSERT INTO orders SELECT g, g % 5000, 'SKU-' || lpad((g % 9999)::text, 8, '0'), g % 7 + 1, (g % 90000) / 100.0, 'new', $2 FROM generate_series(1, $1::int) g`, rows, note),
		s.pg.run(ctx, "ANALYZE orders"), s.pg.run(ctx, "CHECKPOINT"))
}

// drop deletes a source with its slot.
func (s *site) drop(ctx context.Context, name string) error {
	if err := s.delete(ctx, name); err != nil {
		return err
	}
	if err := s.slot(ctx, name, false); err != nil {
		return err
	}
	return errors.Join(s.pg.run(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", name),
		s.pg.run(ctx, "DROP PUBLICATION IF EXISTS "+name))
}

// slot returns when someone reads a slot, or nobody does.
func (s *site) slot(ctx context.Context, name string, active bool) error {
	for {
		n, err := s.pg.count(ctx, "SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1 AND active", name)
		if err != nil || (n == 1) == active {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// held gives how many records a topic holds.
func (s *site) held(ctx context.Context, topic string) (int, error) {
	offsets, err := s.admin.ListEndOffsets(ctx, topic)
	if kerr.IsRetriable(err) { // it is just made
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	n := 0
	offsets.Each(func(o kadm.ListedOffset) {
		if o.Err == nil { // none: it is not there yet
			n += int(o.Offset)
		}
	})
	return n, nil
}

const (
	stallMost  = time.Minute           // for how long a connector may move nothing
	glanceTime = 20 * time.Millisecond // between two looks at how far it is
)

// carry waits until a connector has carried so much. The rate, and the CPU for a million, count from the moment on at which the first
// of it was seen, or of all, if it was all there by then; the latter is in seconds. first is how long that took.
func (s *site) carry(ctx context.Context, name string, all int, count func(context.Context) (int, error)) (values, error) {
	before, err := usageOf(s.worker.pid())
	if err != nil {
		return nil, err
	}
	began := time.Now()
	moved := began
	var first, from time.Time
	var had, last int
	for {
		n, err := count(ctx)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		used, err := usageOf(s.worker.pid())
		if err != nil {
			return nil, err
		}
		if n > last {
			moved, last = now, n
		}
		if n > 0 && first.IsZero() {
			if first, from = now, began; n < all {
				from, had, before = now, n, used
			}
		}
		if n >= all {
			took, of := now.Sub(from).Seconds(), float64(n-had)
			return values{"rate": of / took, "cpu": (used.cpu - before.cpu) / of * 1e6, "first": first.Sub(began).Seconds(), "rss": used.rss}, nil
		}
		if now.Sub(moved) > stallMost {
			return nil, fmt.Errorf("%s stands still after %d of %d: %s", name, n, all, s.status(ctx, name))
		}
		if err := wait(ctx, glanceTime); err != nil {
			return nil, err
		}
	}
}

// status tells in which state a connector is.
func (s *site) status(ctx context.Context, name string) string {
	text, err := s.worker.ask(ctx, "GET", "/connectors/"+name+"/status", nil)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// topic makes a topic once, with records of which the first stand first in the four partitions, and the last stand last.
func (s *site) topic(ctx context.Context, name string, records int, key, value func(i int) string) error {
	if s.made[name] {
		return nil
	}
	if _, err := s.admin.CreateTopic(ctx, partitions, 1, nil, name); err != nil {
		return fmt.Errorf("creating topic %s: %w", name, err)
	}
	failed := make(chan error, 1)
	for i := range records {
		s.client.Produce(ctx, &kgo.Record{Topic: name, Partition: int32(i % partitions), Key: []byte(key(i)), Value: []byte(value(i))}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	if err := s.client.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
		s.made[name] = true
		return nil
	}
}

const partitions = 4

// connectVersions tells what is measured, and gets it if need be.
func connectVersions(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, workerScript, "fetch")
	cmd.Env = workerEnv()
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s fetch: %w", workerScript, err)
	}
	bin, err := postgresPrograms()
	if err != nil {
		return "", err
	}
	server, err := exec.CommandContext(ctx, bin+"/postgres", "--version").Output()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("Connect %s, %s", strings.TrimSpace(string(text)), strings.TrimSpace(string(server))), nil
}

// idOf gives the id in a key of a change.
func idOf(key []byte) int64 {
	var k struct{ ID int64 }
	_ = json.Unmarshal(key, &k) // others have none
	return k.ID
}
