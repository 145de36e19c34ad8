package cli

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
)

// offsetsFileMax bounds a file of offsets: a hundred thousand partitions with long names fit.
const offsetsFileMax = 64 << 20

// readOffsets reads a file of offsets for a group: CSV as kafka-consumer-groups writes it (topic,partition,offset, or with the
// group before the topic), or JSON as reset-offsets writes it. Lines of other groups are passed over. "-" is stdin.
func readOffsets(name string, stdin io.Reader, group string) (map[topicPartition]int64, error) {
	in := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	b, err := io.ReadAll(io.LimitReader(in, offsetsFileMax+1))
	if err != nil {
		return nil, err
	}
	if len(b) > offsetsFileMax {
		return nil, fmt.Errorf("%s is larger than %d MiB: no file of offsets is", name, offsetsFileMax>>20)
	}
	parse := parseOffsetsCSV
	if text := bytes.TrimSpace(b); len(text) > 0 && text[0] == '[' {
		parse = parseOffsetsJSON
	}
	lines, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	offsets := map[topicPartition]int64{}
	for _, line := range lines {
		if line.Group != "" && line.Group != group {
			continue
		}
		at := topicPartition{line.Topic, *line.Partition}
		if _, twice := offsets[at]; twice {
			return nil, fmt.Errorf("%s: partition %d of topic %q is there twice", name, at.partition, at.topic)
		}
		offsets[at] = *line.Offset
	}
	if len(offsets) == 0 {
		return nil, fmt.Errorf("%s has no offsets for group %q", name, group)
	}
	return offsets, nil
}

// fileOffset is an entry of a file of offsets.
type fileOffset struct {
	Group     string `json:"group"` // empty: of whatever group is reset
	Topic     string `json:"topic"`
	Partition *int32 `json:"partition"`
	Offset    *int64 `json:"offset"`
}

func parseOffsetsCSV(b []byte) ([]fileOffset, error) {
	r := csv.NewReader(bytes.NewReader(b))
	r.FieldsPerRecord, r.TrimLeadingSpace, r.ReuseRecord = -1, true, true
	var all []fileOffset
	for {
		fields, err := r.Read()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		line, _ := r.FieldPos(0)
		var o fileOffset
		switch len(fields) {
		case 4:
			o.Group, fields = fields[0], fields[1:]
		case 3:
		default:
			return nil, fmt.Errorf("line %d has %d fields: write topic,partition,offset or group,topic,partition,offset", line, len(fields))
		}
		partition, err := strconv.ParseInt(fields[1], 10, 32)
		offset, err2 := strconv.ParseInt(fields[2], 10, 64)
		if fields[0] == "" || err != nil || err2 != nil || partition < 0 {
			return nil, fmt.Errorf("line %d is not topic,partition,offset", line)
		}
		id := int32(partition)
		o.Topic, o.Partition, o.Offset = fields[0], &id, &offset
		all = append(all, o)
	}
}

func parseOffsetsJSON(b []byte) ([]fileOffset, error) {
	var all []fileOffset
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, err
	}
	for i, o := range all {
		if o.Topic == "" || o.Partition == nil || *o.Partition < 0 || o.Offset == nil {
			return nil, fmt.Errorf("entry %d has no topic, partition and offset", i+1)
		}
	}
	return all, nil
}

// writeOffsetsCSV writes a plan as kafka-consumer-groups reads it.
func writeOffsetsCSV(p *printer, plan []offsetReset) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	for _, r := range plan {
		if err := w.Write([]string{r.Topic, strconv.Itoa(int(r.Partition)), strconv.FormatInt(r.Offset, 10)}); err != nil {
			return err
		}
	}
	w.Flush()
	return p.text(b.Bytes())
}
