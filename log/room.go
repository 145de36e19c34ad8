package log

import (
	"io"

	"github.com/weir/weir/internal/vfs"
)

// What is written at the end of a file changes its size, and the next sync has to write the file system's journal as well as the data.
// So small appends are written over zeros that were there and synced before: the sync has only the data to write, which takes about two
// thirds of the time. Zeros are written as often as the segment has doubled, and then each roomMax, so an idle log has few of them,
// and no more than it has data. What is not synced before it is acknowledged does without.

// roomMax is how many bytes of zeros are written at a time.
const roomMax = 256 << 10

var zeros [roomMax]byte

// makeRoom writes n zeros from the end of what was just written. If that fails nothing is lost but time: the next append is written
// at the end of the file, or over as many zeros as there are.
func (s *segment) makeRoom(file vfs.File, end, n int64) {
	if n < headerFrame {
		return
	}
	if err := writeAt(file, zeros[:n], end); err != nil {
		_ = file.Truncate(end)
		return
	}
	s.room = end + n
}

// trim takes the zeros away from the end of a segment. The next sync makes that durable; until then a crash may bring them back.
func (l *Log) trim(s *segment) error {
	if s.room <= s.size {
		return nil
	}
	file, err := s.open()
	if err != nil {
		return err
	}
	defer s.release()
	if err := file.Truncate(s.size); err != nil {
		return err
	}
	s.room = 0
	l.dirty.addFile(s)
	return nil
}

// isRoom tells whether there are only zeros from a place to the end of a file.
func isRoom(file vfs.File, from, size int64) (bool, error) {
	b := make([]byte, min(size-from, 64<<10))
	for from < size {
		n, err := file.ReadAt(b[:min(int64(len(b)), size-from)], from)
		for _, c := range b[:n] {
			if c != 0 {
				return false, nil
			}
		}
		if err != nil && (err != io.EOF || n == 0) {
			return false, err
		}
		from += int64(n)
	}
	return true, nil
}
