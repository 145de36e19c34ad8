package runtime

import (
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/sdk"
)

// overrides gives the client options that a connector overrides (KIP-458). Those that only tune Kafka's own clients mean nothing here.
func overrides(config map[string]string, prefix string) ([]kgo.Opt, error) {
	var opts []kgo.Opt
	for name, value := range under(config, prefix) {
		opt, err := override(name, value)
		if err != nil {
			return nil, sdk.Misconfigured("Invalid value %s for configuration %s%s: %w", value, prefix, name, err)
		}
		if opt != nil {
			opts = append(opts, opt)
		}
	}
	return opts, nil
}

func override(name, value string) (kgo.Opt, error) {
	number := func(made func(int64) kgo.Opt) (kgo.Opt, error) {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, err
		}
		return made(n), nil
	}
	switch name {
	case "bootstrap.servers":
		return kgo.SeedBrokers(strings.Split(value, ",")...), nil
	case "client.id":
		return kgo.ClientID(value), nil
	case "client.rack":
		return kgo.Rack(value), nil
	case "isolation.level":
		if value == "read_committed" {
			return kgo.FetchIsolationLevel(kgo.ReadCommitted()), nil
		}
		return nil, nil
	case "auto.offset.reset":
		switch value {
		case "latest":
			return kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()), nil
		case "none":
			return kgo.ConsumeResetOffset(kgo.NoResetOffset()), nil
		}
		return nil, nil
	case "compression.type":
		codec, known := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}[value]
		if !known {
			return nil, sdk.Misconfigured("it must be one of none, gzip, snappy, lz4, zstd")
		}
		return kgo.ProducerBatchCompression(codec), nil
	case "linger.ms":
		return number(func(n int64) kgo.Opt { return kgo.ProducerLinger(time.Duration(n) * time.Millisecond) })
	case "max.request.size":
		return number(func(n int64) kgo.Opt { return kgo.ProducerBatchMaxBytes(int32(n)) })
	case "fetch.max.wait.ms":
		return number(func(n int64) kgo.Opt { return kgo.FetchMaxWait(time.Duration(n) * time.Millisecond) })
	case "fetch.min.bytes":
		return number(func(n int64) kgo.Opt { return kgo.FetchMinBytes(int32(n)) })
	case "fetch.max.bytes":
		return number(func(n int64) kgo.Opt { return kgo.FetchMaxBytes(int32(n)) })
	case "max.partition.fetch.bytes":
		return number(func(n int64) kgo.Opt { return kgo.FetchMaxPartitionBytes(int32(n)) })
	case "session.timeout.ms":
		return number(func(n int64) kgo.Opt { return kgo.SessionTimeout(time.Duration(n) * time.Millisecond) })
	case "heartbeat.interval.ms":
		return number(func(n int64) kgo.Opt { return kgo.HeartbeatInterval(time.Duration(n) * time.Millisecond) })
	}
	return nil, nil
}
