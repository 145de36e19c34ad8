package replication

import (
	"encoding/binary"

	"github.com/weir/weir/log"
)

// AppendEntries adds entries of a log to b, as they are in messages between nodes.
func AppendEntries(b []byte, entries []log.Entry) []byte {
	for _, e := range entries {
		b = append(appendEntryHeader(b, e), e.Data...)
	}
	return b
}

// appendEntryHeader adds what comes before an entry's data.
func appendEntryHeader(b []byte, e log.Entry) []byte {
	b = append(b, byte(e.Kind))
	b = binary.BigEndian.AppendUint64(b, e.Term)
	return binary.BigEndian.AppendUint32(b, uint32(len(e.Data)))
}

// ParseEntries reads what AppendEntries wrote, and goes on to use b. The entries are numbered from first on, and are whole.
func ParseEntries(b []byte, first uint64) ([]log.Entry, error) {
	var out []log.Entry
	for len(b) > 0 {
		e := parsedEntry{index: first + uint64(len(out))}
		rest, err := e.parse(b, false)
		if err != nil {
			return nil, err
		}
		out, b = append(out, fromRaft(&e.Entry)), rest
	}
	return out, nil
}
