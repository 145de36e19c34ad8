package log

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/record"
)

// Repair writes a damaged place anew with the entries of another replica. What has the same index and term is the same on all of
// them, down to the byte, so that it is written over what is there: whoever reads meanwhile has the damage, or what is right, and
// so has a log that is opened after a crash on the way.
type Repair struct {
	log    *Log
	s      *segment
	file   vfs.File
	damage Damage
	at     spot
	made   bool // the file was missing
}

// ErrUnfit says that entries are not those that are missing, or do not fit the place.
var ErrUnfit = errors.New("the entries do not fit the damaged place")

// BeginRepair begins to repair what Check found. What is in the place is kept beside the log first. The caller must call Close.
func (l *Log) BeginRepair(d Damage) (*Repair, error) {
	s := l.sealed(d.Base)
	if s == nil {
		return nil, fmt.Errorf("segment %s: %w", segmentName(l.dir, d.Base), ErrRemoved)
	}
	r := &Repair{log: l, s: s, damage: d, at: spot{d.Pos, d.Offset, d.First}}
	return r, r.open()
}

// sealed gives a segment that is not written to any more; nil: it is not there.
func (l *Log) sealed(base int64) *segment {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, s := range l.segments {
		if s.base == base && s.sealed {
			return s
		}
	}
	return nil
}

func (r *Repair) open() (err error) {
	name := r.s.name + logSuffix
	r.file, err = r.s.fs.OpenReadWrite(name)
	if errors.Is(err, errNotExist) {
		r.made = true
		r.file, err = r.s.fs.Create(name)
	}
	if err != nil {
		return err
	}
	if !r.made {
		err = r.keepAside()
	}
	if err == nil && r.damage.Pos == 0 {
		err = r.put(appendHeader(nil, r.s.base, r.s.prevTerm, r.log.id, r.s.firstIndex))
	}
	if err != nil {
		r.Close()
	}
	return err
}

// keepAside copies what is in the place, for whoever wants to look, unless an attempt before did.
func (r *Repair) keepAside() error {
	name := fmt.Sprintf("%s.%d.damaged", r.s.name, r.damage.Pos)
	if _, err := r.s.fs.Size(name); !errors.Is(err, errNotExist) {
		return err
	}
	size, err := r.file.Size()
	if size = min(size, r.damage.End); err != nil || size <= r.damage.Pos {
		return err
	}
	out, err := r.s.fs.Create(name + ".tmp")
	if err != nil {
		return err
	}
	b := make([]byte, min(size-r.damage.Pos, scanChunk))
	for at := r.damage.Pos; at < size && err == nil; {
		n, unreadable := r.file.ReadAt(b[:min(int64(len(b)), size-at)], at)
		if n == 0 && unreadable != nil {
			break
		}
		err = writeAt(out, b[:n], at-r.damage.Pos)
		at += int64(n)
	}
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return errors.Join(err, r.s.fs.Remove(name+".tmp"))
	}
	return errors.Join(r.s.fs.Rename(name+".tmp", name), r.s.fs.SyncDir(r.log.dir))
}

// put writes the next bytes.
func (r *Repair) put(b []byte) error {
	if r.at.pos+int64(len(b)) > r.damage.End {
		return ErrUnfit
	}
	if err := writeAt(r.file, b, r.at.pos); err != nil {
		return err
	}
	r.at.pos += int64(len(b))
	return nil
}

// Wants gives the entries that are still to be written: [lo, hi).
func (r *Repair) Wants() (lo, hi uint64) { return r.at.index, r.damage.Last + 1 }

// Write writes the next entries, which are checked. An error may be ErrUnfit.
func (r *Repair) Write(entries []Entry) error {
	for _, e := range entries {
		b, next, err := r.frame(e)
		if err != nil {
			return err
		}
		if err := r.put(b); err != nil {
			return err
		}
		r.at.offset, r.at.index = next, r.at.index+1
	}
	return nil
}

// frame gives an entry as it is in a segment, and the log end offset after it.
func (r *Repair) frame(e Entry) (b []byte, next int64, err error) {
	term, err := r.log.Term(r.at.index)
	if err != nil {
		return nil, 0, err
	}
	own, isOwn := r.log.Own(r.at.index)
	if e.Index != r.at.index || e.Index > r.damage.Last || e.Term != term || isOwn != (e.Kind != Batch) {
		return nil, 0, ErrUnfit
	}
	if isOwn {
		if own.Kind != e.Kind || !bytes.Equal(own.Data, e.Data) {
			return nil, 0, ErrUnfit
		}
		return appendOwn(nil, r.at.offset, e.Term, e.Kind, e.Data), r.at.offset, nil
	}
	h, err := record.ParseHeader(e.Data)
	if err != nil || h.Size() != len(e.Data) || h.BaseOffset != r.at.offset || uint64(uint32(h.LeaderEpoch)) != term || !record.CheckCRC(e.Data) {
		return nil, 0, ErrUnfit
	}
	return e.Data, h.NextOffset(), nil
}

// Finish makes what was written durable, when all of it was. That the segment is whole, Check tells.
func (r *Repair) Finish() error {
	if r.damage.Pos == r.s.size { // nothing should be there
		r.at.pos = r.damage.End
		if err := r.file.Truncate(r.s.size); err != nil {
			return err
		}
	}
	if r.at != (spot{r.damage.End, r.damage.next, r.damage.Last + 1}) {
		return ErrUnfit
	}
	if err := r.file.Sync(); err != nil {
		return err
	}
	if r.made {
		return r.s.fs.SyncDir(r.log.dir)
	}
	return nil
}

// Close lets go of the file.
func (r *Repair) Close() {
	if r.file != nil {
		_ = r.file.Close()
	}
	if r.made && r.log.sealed(r.s.base) != r.s { // retention took the segment meanwhile, and found no file
		_ = r.s.fs.Remove(r.s.name + logSuffix)
	}
}
