package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/log"
	"github.com/weir/weir/record"
)

// segment writes a segment file: the start of a term, a batch as the metadata log has it, a compressed one, a transaction's
// marker, a change of membership, and an entry of a kind that does not exist yet.
func segment(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "orders-0")
	id := log.Identity{Partition: 3}
	for i := range id.TopicID {
		id.TopicID[i] = byte(i)
	}
	l, _, err := log.Open(vfs.NewOS(), dir, id, log.Config{SegmentBytes: 1 << 30, SegmentMs: 1 << 40, IndexIntervalBytes: 4096, RetentionMs: -1, RetentionBytes: -1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const at = 1_700_000_000_000
	plain := record.NewBuilder(record.BuilderOptions{})
	plain.Append(at, []byte("topic"), []byte(`{"name":"orders"}`), record.RecordHeader{Key: "h", Value: []byte("v")})
	plain.Append(at+1, nil, []byte("a\n\x1b\xff"))
	packed := record.NewBuilder(record.BuilderOptions{Codec: record.Zstd, Transactional: true, Producer: &record.Producer{ID: 9, Epoch: 1, Sequence: 4}})
	packed.Append(at+2, []byte("k"), nil)
	marker := record.NewBuilder(record.BuilderOptions{Control: true, Transactional: true, Producer: &record.Producer{ID: 9, Epoch: 1, Sequence: -1}})
	marker.Append(at+3, []byte{0, 0, 0, 1}, []byte{0, 0, 0, 0, 0, 1})
	entries := []log.Entry{
		{Index: 1, Term: 2, Kind: log.Batch + 1},
		{Index: 2, Term: 2, Kind: log.Batch, Data: assigned(plain, 0)},
		{Index: 3, Term: 2, Kind: log.Batch, Data: assigned(packed, 2)},
		{Index: 4, Term: 2, Kind: log.Batch, Data: assigned(marker, 3)},
		{Index: 5, Term: 2, Kind: log.Batch + 3, Data: []byte("x")},
		{Index: 6, Term: 2, Kind: 99},
	}
	entries[0].Index = l.LastIndex() + 1
	for i := range entries {
		entries[i].Index = entries[0].Index + uint64(i)
	}
	if err := l.Append(entries); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "00000000000000000000.log")
}

func assigned(b *record.Builder, offset int64) []byte {
	batch := b.Build()
	record.Assign(batch, offset, 2)
	return batch
}

func dumped(t *testing.T, file string, args ...string) ran {
	t.Helper()
	got := weir(context.Background(), nil, append([]string{"log", "dump", file}, args...)...)
	got.out = strings.ReplaceAll(got.out, file, "FILE")
	got.err = strings.ReplaceAll(got.err, file, "FILE")
	return got
}

func TestLogDump(t *testing.T) {
	file := segment(t)
	expect(t, dumped(t, file), 0, `
Segment FILE
POSITION    INDEX     OFFSETS              EPOCH  KIND        BYTES     DETAILS
0           -         0                    0      header      51        partition 3, topic id <id>
51          1         0                    2      term-start  22        -
73          2         0..1                 2      batch       105       2 records, none, 2023-11-14T22:13:20.001Z
178         3         2                    2      batch       82        1 record, zstd, 2023-11-14T22:13:20.002Z, producer 9 epoch 1 sequence 4, transactional
260         4         3                    2      batch       78        1 record, none, 2023-11-14T22:13:20.003Z, producer 9 epoch 1 sequence -1, transactional, control
338         5         4                    2      membership  23        -
361         6         4                    2      unknown     22        -
`, "")
	expect(t, dumped(t, file, "--records"), 0, `
Segment FILE
POSITION    INDEX     OFFSETS              EPOCH  KIND        BYTES     DETAILS
0           -         0                    0      header      51        partition 3, topic id <id>
51          1         0                    2      term-start  22        -
73          2         0..1                 2      batch       105       2 records, none, 2023-11-14T22:13:20.001Z
  0  2023-11-14T22:13:20.000Z  key=topic  value={"name":"orders"}  header h=v
  1  2023-11-14T22:13:20.001Z  key=null  value=a\n\x1b\xff
178         3         2                    2      batch       82        1 record, zstd, 2023-11-14T22:13:20.002Z, producer 9 epoch 1 sequence 4, transactional
  2  2023-11-14T22:13:20.002Z  key=k  value=null
260         4         3                    2      batch       78        1 record, none, 2023-11-14T22:13:20.003Z, producer 9 epoch 1 sequence -1, transactional, control
  3  2023-11-14T22:13:20.003Z  commit
338         5         4                    2      membership  23        -
361         6         4                    2      unknown     22        -
`, "")
}

func TestLogDumpJSON(t *testing.T) {
	expect(t, dumped(t, segment(t), "--records", "-o", "json"), 0, `
{"file":"FILE","position":0,"size":51,"kind":"header","index":null,"offset":0,"next_offset":0,"leader_epoch":0,"topic_id":"AAECAwQFBgcICQoLDA0ODw","partition":3}
{"file":"FILE","position":51,"size":22,"kind":"term-start","index":1,"offset":0,"next_offset":0,"leader_epoch":2}
{"file":"FILE","position":73,"size":105,"kind":"batch","index":2,"offset":0,"next_offset":2,"leader_epoch":2,"codec":"none","record_count":2,"base_timestamp":1700000000000,"max_timestamp":1700000000001,"producer_id":-1,"producer_epoch":-1,"base_sequence":-1,"transactional":false,"control":false,"records":[{"offset":0,"timestamp":1700000000000,"key":"topic","value":"{\"name\":\"orders\"}","headers":[{"key":"h","value":"v"}]},{"offset":1,"timestamp":1700000000001,"key":null,"value":null,"value_base64":"YQob/w==","headers":[]}]}
{"file":"FILE","position":178,"size":82,"kind":"batch","index":3,"offset":2,"next_offset":3,"leader_epoch":2,"codec":"zstd","record_count":1,"base_timestamp":1700000000002,"max_timestamp":1700000000002,"producer_id":9,"producer_epoch":1,"base_sequence":4,"transactional":true,"control":false,"records":[{"offset":2,"timestamp":1700000000002,"key":"k","value":null,"headers":[]}]}
{"file":"FILE","position":260,"size":78,"kind":"batch","index":4,"offset":3,"next_offset":4,"leader_epoch":2,"codec":"none","record_count":1,"base_timestamp":1700000000003,"max_timestamp":1700000000003,"producer_id":9,"producer_epoch":1,"base_sequence":-1,"transactional":true,"control":true,"records":[{"offset":3,"timestamp":1700000000003,"key":"\u0000\u0000\u0000\u0001","value":"\u0000\u0000\u0000\u0000\u0000\u0001","headers":[],"marker":"commit"}]}
{"file":"FILE","position":338,"size":23,"kind":"membership","index":5,"offset":4,"next_offset":4,"leader_epoch":2}
{"file":"FILE","position":361,"size":22,"kind":"unknown","index":6,"offset":4,"next_offset":4,"leader_epoch":2}
`, "")
}

// Whatever byte of a file is changed or cut off, the command says where and fails; it never fails otherwise.
func TestLogDumpDamage(t *testing.T) {
	file := segment(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(t.TempDir(), "damaged.log")
	check := func(what string, at int, b []byte) {
		t.Helper()
		if err := os.WriteFile(damaged, b, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, output := range []string{"table", "json"} {
			got := dumped(t, damaged, "--records", "-o", output)
			if got.code != exitFailed || !strings.HasPrefix(got.err, "weir: FILE is damaged at byte ") || !strings.Contains(got.out, "damage") {
				t.Fatalf("%s at %d as %s: %+v", what, at, output, got)
			}
		}
	}
	for at := range whole {
		// The epochs are outside of the checksums, and nothing else shows that they are wrong.
		if inEpoch(at) {
			continue
		}
		changed := append([]byte(nil), whole...)
		changed[at] ^= 0x55
		check("a changed byte", at, changed)
	}
	boundaries, last := map[int]bool{0: true, 51: true, 73: true, 178: true, 260: true, 338: true, 361: true}, 0
	for at := range whole {
		if boundaries[at] {
			last = at
		}
		room := last > 0 && bytes.Trim(whole[last:at], "\x00") == nil // zeros at the end are no damage
		if !boundaries[at] && !room {
			check("a cut", at, whole[:at])
		}
	}
}

func inEpoch(at int) bool {
	for _, frame := range []int{0, 51, 73, 178, 260, 338, 361} {
		if at >= frame+12 && at < frame+16 {
			return true
		}
	}
	return false
}

func TestLogDumpMissingFile(t *testing.T) {
	got := weir(context.Background(), nil, "log", "dump", "/nothing/here.log", segment(t))
	if got.code != exitFailed || got.err != "weir: open /nothing/here.log: no such file or directory\n" || !strings.Contains(got.out, "term-start") {
		t.Errorf("%+v", got)
	}
}
