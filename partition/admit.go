package partition

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/weir/weir/config"
	"github.com/weir/weir/record"
)

var codecs = map[string]record.Codec{
	"uncompressed": record.None, "gzip": record.Gzip, "snappy": record.Snappy, "lz4": record.LZ4, "zstd": record.Zstd,
}

// admit checks a client's batch against the topic's configuration and gives it as it is to be stored: as it came, unless the
// topic wants another compression.
func (p *Partition) admit(batch []byte, req *appendRequest) ([]byte, error) {
	cfg := p.config.Load()
	now := p.now()
	h, err := record.Validate(batch, record.Limits{
		MaxBytes: cfg.MaxMessageBytes, Now: now, BeforeMax: cfg.TimestampBeforeMaxMs, AfterMax: cfg.TimestampAfterMaxMs,
		LogAppendTime: cfg.LogAppendTime, KeyRequired: cfg.CleanupCompact(), Partition: p,
	})
	if err != nil {
		return nil, err
	}
	if h.Transactional() {
		return nil, kerr.InvalidTxnState
	}
	if want, ok := codecs[cfg.CompressionType]; ok && want != h.Codec() {
		if batch, err = recompress(batch, want, cfg); err != nil {
			return nil, err
		}
		h, _ = record.ParseHeader(batch)
	}
	if int64(len(batch)) > cfg.SegmentBytes {
		return nil, kerr.RecordListTooLarge
	}
	if cfg.LogAppendTime {
		record.SetLogAppendTime(batch, now)
		req.logAppendTime = now
		h, _ = record.ParseHeader(batch)
	}
	req.header = h
	return batch, nil
}

func recompress(batch []byte, codec record.Codec, cfg *config.TopicConfig) ([]byte, error) {
	level := 0
	switch codec {
	case record.Gzip:
		level = max(cfg.CompressionGzipLevel, 0)
	case record.LZ4:
		level = cfg.CompressionLZ4Level
	case record.Zstd:
		level = cfg.CompressionZstdLevel
	}
	out, err := record.Recompress(batch, codec, level)
	if err != nil {
		return nil, &record.Error{Code: kerr.CorruptMessage, Message: err.Error()}
	}
	if len(out) > cfg.MaxMessageBytes {
		return nil, &record.Error{Code: kerr.MessageTooLarge, Message: "the record batch is larger than max.message.bytes allows after it was compressed as the topic wants"}
	}
	return out, nil
}
