package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/log"
	"github.com/weir/weir/record"
)

func logCommand(o *options) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "log",
		Short: "Look into the files of a node, and check them",
		Example: `  weir log dump weir-data/orders-0/*.log --records
  weir log verify weir-data`,
	})
	cmd.AddCommand(logDumpCommand(o), logVerifyCommand(o))
	return cmd
}

func logDumpCommand(o *options) *cobra.Command {
	var records bool
	cmd := &cobra.Command{
		Use:   "dump FILE...",
		Short: "Show what is in segment files",
		Long: `Show what is in segment files, frame by frame: the segment's header, record batches and the entries
that Raft itself needs; with --records also the records of every batch. No broker is needed. Of a file
that a broker is writing to, the last frame may not be whole yet.

Damage is shown with its position in the file, and makes the exit code 1.

JSON: an object per frame and line, with the fields file, position, size, kind (header, batch,
term-start, membership, damage or unknown), index (of Raft; null: not known), offset, next_offset,
leader_epoch;
  of a header: topic_id, partition;
  of a batch: codec, record_count, base_timestamp, max_timestamp, producer_id, producer_epoch,
  base_sequence, transactional, control, and with --records: records (offset, timestamp, key, value,
  headers as in 'weir consume', marker: commit or abort);
  of damage: error.`,
		Example: `  weir log dump weir-data/orders-0/00000000000000000000.log
  weir log dump weir-data/orders-0/*.log --records
  weir log dump 00000000000000000000.log -o json | jq 'select(.kind == "batch").codec'`,
		Args: needs("FILE", true),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"log"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, files []string) error {
			p := o.printer(cmd)
			d := &dump{p: p, to: bufio.NewWriterSize(p.w, 64<<10), records: records}
			var failed []error
			for _, file := range files {
				err := d.file(ctx, file)
				failed = append(failed, err, d.to.Flush())
				if ctx.Err() != nil {
					break
				}
			}
			return joined(append(failed, d.damages...)...)
		}),
	}
	cmd.Flags().BoolVar(&records, "records", false, "also show the records of every batch")
	return cmd
}

// frameJSON is a frame in JSON; its names are documented in the help.
type frameJSON struct {
	File     string  `json:"file"`
	Position int64   `json:"position"`
	Size     int64   `json:"size"`
	Kind     string  `json:"kind"`
	Index    *uint64 `json:"index"`
	Offset   int64   `json:"offset"`
	Next     int64   `json:"next_offset"`
	Epoch    int32   `json:"leader_epoch"`
	*headerJSON
	*batchJSON
	Error string `json:"error,omitempty"`
}

type headerJSON struct {
	TopicID   string `json:"topic_id"`
	Partition int32  `json:"partition"`
}

type batchJSON struct {
	Codec         string          `json:"codec"`
	Count         int32           `json:"record_count"`
	BaseTimestamp int64           `json:"base_timestamp"`
	MaxTimestamp  int64           `json:"max_timestamp"`
	ProducerID    int64           `json:"producer_id"`
	ProducerEpoch int16           `json:"producer_epoch"`
	BaseSequence  int32           `json:"base_sequence"`
	Transactional bool            `json:"transactional"`
	Control       bool            `json:"control"`
	Records       []logRecordJSON `json:"records,omitempty"`
}

type logRecordJSON struct {
	Offset      int64        `json:"offset"`
	Timestamp   int64        `json:"timestamp"`
	Key         *string      `json:"key"`
	KeyBase64   []byte       `json:"key_base64,omitempty"`
	Value       *string      `json:"value"`
	ValueBase64 []byte       `json:"value_base64,omitempty"`
	Headers     []jsonHeader `json:"headers"`
	Marker      string       `json:"marker,omitempty"`
}

// dump shows segment files.
type dump struct {
	p       *printer
	to      *bufio.Writer
	records bool
	name    string // of the file that is being shown
	indexed bool   // its header told the Raft index
	damages []error
}

func (d *dump) file(ctx context.Context, name string) error {
	d.name, d.indexed = name, false
	if !d.p.json {
		if err := d.write(fmt.Appendf(nil, "Segment %s\n"+frameLine, escape(name), "POSITION", "INDEX", "OFFSETS", "EPOCH", "KIND", "BYTES", "DETAILS")); err != nil {
			return err
		}
	}
	return log.ScanSegment(vfs.NewOS(), name, func(f log.Frame) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		d.indexed = d.indexed || f.Header
		if d.p.json {
			return d.frameJSON(f)
		}
		return d.frameText(f)
	})
}

// write writes whole lines; escaped for a terminal.
func (d *dump) write(b []byte) error {
	if d.p.terminal {
		b = appendEscaped(nil, b, "\n\t")
	}
	_, err := d.to.Write(b)
	return err
}

// damaged takes note of damage, which makes the command fail in the end.
func (d *dump) damaged(position int64, reason string) {
	d.damages = append(d.damages, fmt.Errorf("%s is damaged at byte %d: %s", d.name, position, reason))
}

// entryKinds names the entries of a log that are no batches: package replication numbers them.
var entryKinds = map[log.Kind]string{
	log.Batch:     "batch",
	log.Batch + 1: "term-start",
	log.Batch + 2: "membership",
	log.Batch + 3: "membership",
}

func frameKind(f log.Frame) string {
	switch kind, known := entryKinds[f.Kind]; {
	case f.Damage != "":
		return "damage"
	case f.Header:
		return "header"
	case known:
		return kind
	}
	return "unknown"
}

// frameLine lays out a frame in columns. They are wide enough for most; what is wider pushes the rest aside, so that a large
// file need not be held in memory to be aligned.
const frameLine = "%-10v  %-8v  %-19v  %-5v  %-10v  %-8v  %s\n"

func (d *dump) frameText(f log.Frame) error {
	index, offsets, details := "-", strconv.FormatInt(f.Offset, 10), "-"
	if d.indexed && !f.Header && f.Damage == "" {
		index = strconv.FormatUint(f.Index, 10)
	}
	var h record.Header
	switch {
	case f.Damage != "":
		d.damaged(f.Pos, f.Damage)
		details = f.Damage
	case f.Header:
		details = fmt.Sprintf("partition %d, topic id %s", f.Identity.Partition, base64.RawURLEncoding.EncodeToString(f.Identity.TopicID[:]))
	case f.Kind == log.Batch:
		var err error
		if h, err = record.ParseHeader(f.Data); err != nil {
			return err
		}
		if f.Next > f.Offset+1 {
			offsets += ".." + strconv.FormatInt(f.Next-1, 10)
		}
		details = batchDetails(h)
	}
	if err := d.write(fmt.Appendf(nil, frameLine, f.Pos, index, offsets, f.Epoch, frameKind(f), f.Size, escape(details))); err != nil {
		return err
	}
	if f.Kind != log.Batch || f.Header || f.Damage != "" || !d.records {
		return nil
	}
	return d.recordsText(f, h)
}

func batchDetails(h record.Header) string {
	details := []string{plural(int64(h.NumRecords), "record"), h.Codec().String(), timeText(h.MaxTimestamp)}
	if h.HasProducer() {
		details = append(details, fmt.Sprintf("producer %d epoch %d sequence %d", h.ProducerID, h.ProducerEpoch, h.BaseSequence))
	}
	if h.Transactional() {
		details = append(details, "transactional")
	}
	if h.Control() {
		details = append(details, "control")
	}
	return strings.Join(details, ", ")
}

func timeText(ms int64) string {
	if ms == record.NoTimestamp {
		return "no time"
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

func (d *dump) recordsText(f log.Frame, h record.Header) error {
	for r, err := range record.Records(f.Data) {
		if err != nil {
			d.damaged(f.Pos, err.Error())
			return d.write(fmt.Appendf(nil, "  damage: %s\n", escape(err.Error())))
		}
		line := fmt.Appendf(nil, "  %d  %s  ", r.Offset, timeText(r.Timestamp))
		if marker := markerOf(h, r); marker != "" {
			line = append(line, marker...)
		} else {
			line = appendField(line, "key", r.Key)
			line = appendField(append(line, "  "...), "value", r.Value)
			for _, header := range r.Headers() {
				line = appendField(append(line, "  "...), "header "+escape(header.Key), header.Value)
			}
		}
		if err := d.write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// appendField appends name=value with the value on one line.
func appendField(line []byte, name string, value []byte) []byte {
	line = append(append(line, name...), '=')
	if value == nil {
		return append(line, "null"...)
	}
	return appendEscaped(line, value, "")
}

// markerOf tells what the record of a control batch says about a transaction: its key is a version and a type, both int16.
func markerOf(h record.Header, r record.Record) string {
	if !h.Control() || len(r.Key) < 4 {
		return ""
	}
	switch binary.BigEndian.Uint16(r.Key[2:]) {
	case 0:
		return "abort"
	case 1:
		return "commit"
	}
	return ""
}

func (d *dump) frameJSON(f log.Frame) error {
	j := frameJSON{File: d.name, Position: f.Pos, Size: f.Size, Kind: frameKind(f), Offset: f.Offset, Next: f.Next, Epoch: f.Epoch, Error: f.Damage}
	if d.indexed && !f.Header && f.Damage == "" {
		j.Index = &f.Index
	}
	switch {
	case f.Damage != "":
		d.damaged(f.Pos, f.Damage)
	case f.Header:
		j.headerJSON = &headerJSON{base64.RawURLEncoding.EncodeToString(f.Identity.TopicID[:]), f.Identity.Partition}
	case f.Kind == log.Batch:
		var err error
		if j.batchJSON, err = d.batchJSON(f); err != nil {
			j.Error = err.Error()
			d.damaged(f.Pos, j.Error)
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(j); err != nil {
		return err
	}
	return d.write(b.Bytes())
}

// batchJSON gives a batch and, if they are wanted, its records up to one that is damaged.
func (d *dump) batchJSON(f log.Frame) (*batchJSON, error) {
	h, err := record.ParseHeader(f.Data)
	if err != nil {
		return nil, err
	}
	b := &batchJSON{Codec: h.Codec().String(), Count: h.NumRecords, BaseTimestamp: h.BaseTimestamp, MaxTimestamp: h.MaxTimestamp,
		ProducerID: h.ProducerID, ProducerEpoch: h.ProducerEpoch, BaseSequence: h.BaseSequence,
		Transactional: h.Transactional(), Control: h.Control()}
	if !d.records {
		return b, nil
	}
	for r, err := range record.Records(f.Data) {
		if err != nil {
			return b, err
		}
		j := logRecordJSON{Offset: r.Offset, Timestamp: r.Timestamp, Headers: []jsonHeader{}, Marker: markerOf(h, r)}
		// The record's bytes are only valid for this turn.
		j.Key, j.KeyBase64 = jsonBytes(bytes.Clone(r.Key))
		j.Value, j.ValueBase64 = jsonBytes(bytes.Clone(r.Value))
		for _, header := range r.Headers() {
			h := jsonHeader{Key: header.Key}
			h.Value, h.ValueBase64 = jsonBytes(bytes.Clone(header.Value))
			j.Headers = append(j.Headers, h)
		}
		b.Records = append(b.Records, j)
	}
	return b, nil
}
