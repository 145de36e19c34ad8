package sim

import "github.com/weir/weir/replication"

// loan is memory that is lent. Who uses it after it was given back finds it spoilt.
type loan struct {
	b     []byte
	users int
}

func lend(b []byte) *loan { return &loan{b, 1} }

// Retain implements replication.Buffer.
func (l *loan) Retain() {
	if l.users == 0 {
		panic("BUG: memory is retained that was given back")
	}
	l.users++
}

// Release implements replication.Buffer.
func (l *loan) Release() {
	if l.users == 0 {
		panic("BUG: memory is given back twice")
	}
	if l.users--; l.users == 0 {
		for i := range l.b {
			l.b[i] = 0xdb
		}
	}
}

// Size implements replication.Buffer.
func (l *loan) Size() int { return len(l.b) }

func retain(held replication.Held) {
	for _, b := range held {
		b.Retain()
	}
}
