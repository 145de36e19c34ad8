package runtime

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/weir/weir/connect/sdk"
)

// offsetMap is what an offset store knows: the records of the topic that are not outdated.
type offsetMap struct {
	mu    *sync.Mutex
	known map[string]map[string]kept // by connector and identity of the source partition
}

// kept is a record of the offsets topic.
type kept struct {
	key, value []byte
}

func newOffsetMap() offsetMap {
	return offsetMap{mu: &sync.Mutex{}, known: map[string]map[string]kept{}}
}

// apply takes in a record. A value of nil forgets. The error is a record that nobody can read, which changes nothing.
func (m *offsetMap) apply(key, value []byte) error {
	connector, partition, err := readKey(key)
	if err != nil {
		return err
	}
	id, err := identity(partition)
	if err != nil {
		return err
	}
	if value != nil {
		offset, err := readMap(value)
		if err != nil {
			return err
		}
		if offset == nil {
			value = nil // JSON's null, which some workers write to forget
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if value == nil {
		delete(m.known[connector], id)
		return nil
	}
	if m.known[connector] == nil {
		m.known[connector] = map[string]kept{}
	}
	m.known[connector][id] = kept{key, value}
	return nil
}

// all gives the positions of a connector.
func (m *offsetMap) all(connector string) []sdk.Position {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []sdk.Position
	for _, id := range slices.Sorted(maps.Keys(m.known[connector])) {
		k := m.known[connector][id]
		_, partition, err := readKey(k.key)
		offset, err2 := readMap(k.value)
		if err != nil || err2 != nil {
			panic(fmt.Sprintf("BUG: a position that was read once cannot be read again: %q %q", k.key, k.value))
		}
		out = append(out, sdk.Position{Partition: partition, Offset: offset})
	}
	return out
}

// encode makes the record of a position, with the key that it has already if there is one.
func (m *offsetMap) encode(connector string, p sdk.Position) (k kept, err error) {
	id, err := identity(p.Partition)
	if err != nil {
		return kept{}, err
	}
	m.mu.Lock()
	k.key = m.known[connector][id].key
	m.mu.Unlock()
	if k.key == nil {
		if k.key, err = writeKey(connector, p.Partition); err != nil {
			return kept{}, err
		}
	}
	if p.Offset != nil {
		k.value, err = appendValue(nil, p.Offset)
	}
	return k, err
}

// lines are all positions, as a file has them.
func (m *offsetMap) lines() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b []byte
	for _, connector := range slices.Sorted(maps.Keys(m.known)) {
		for _, id := range slices.Sorted(maps.Keys(m.known[connector])) {
			k := m.known[connector][id]
			b = fmt.Appendf(b, "{\"key\":%s,\"value\":%s}\n", k.key, k.value)
		}
	}
	return b
}
