package replication

import (
	"encoding/binary"

	"github.com/weir/weir/log"
)

// AppendEntries adds entries of a log to b, as they are in messages between nodes.
func AppendEntries(b []byte, entries []log.Entry) []byte {
	for _, e := range entries {
		b = appendEntry(b, e)
	}
	return b
}

func appendEntry(b []byte, e log.Entry) []byte {
	b = append(b, byte(e.Kind))
	b = binary.BigEndian.AppendUint64(b, e.Term)
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Data)))
	return append(b, e.Data...)
}

// ParseEntries reads what AppendEntries wrote, and goes on to use b. The entries are numbered from first on, and are whole.
func ParseEntries(b []byte, first uint64) ([]log.Entry, error) {
	var out []log.Entry
	for len(b) > 0 {
		e, rest, err := parseEntry(b, first+uint64(len(out)), false)
		if err != nil {
			return nil, err
		}
		out, b = append(out, fromRaft(e)), rest
	}
	return out, nil
}
