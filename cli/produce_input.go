package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recordSource gives the records of an input, one by one; io.EOF at its end.
type recordSource interface {
	next() (*kgo.Record, error)
	// limit sets how many bytes a record may have. It is called before next.
	limit(bytesMax int)
}

func (p *produce) source(in io.Reader) (recordSource, error) {
	if p.format == "" {
		separator := strings.NewReplacer(`\t`, "\t", `\\`, `\`).Replace(p.keySeparator)
		return &lines{in: bufio.NewReaderSize(in, 64<<10), separator: []byte(separator)}, nil
	}
	reader, err := kgo.NewRecordReader(in, p.format)
	if err != nil {
		return nil, usagef("--format: %v", err)
	}
	return &layout{reader}, nil
}

// lines makes a record of every line.
type lines struct {
	in        *bufio.Reader
	separator []byte // between key and value; empty: there are no keys
	bytesMax  int
	number    int
}

func (l *lines) limit(bytesMax int) { l.bytesMax = bytesMax }

func (l *lines) next() (*kgo.Record, error) {
	l.number++
	line, err := l.line()
	if err != nil {
		return nil, err
	}
	if len(l.separator) == 0 {
		return &kgo.Record{Value: line}, nil
	}
	key, value, found := bytes.Cut(line, l.separator)
	if !found {
		return nil, fmt.Errorf("line %d has no key separator %q", l.number, l.separator)
	}
	return &kgo.Record{Key: key, Value: value}, nil
}

// line reads a line without its end, \n or \r\n. The last one may lack it.
func (l *lines) line() ([]byte, error) {
	line := []byte{} // an empty line is an empty value, not a null one
	for {
		part, err := l.in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > l.bytesMax {
			return nil, fmt.Errorf("line %d is longer than the %d bytes that the topic's max.message.bytes allows", l.number, l.bytesMax)
		}
		switch {
		case err == nil:
			line = bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
			return line, nil
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// layout reads records in the layout of a --format.
type layout struct{ reader *kgo.RecordReader }

func (*layout) limit(int) {} // the client refuses a record that is too large

func (l *layout) next() (*kgo.Record, error) {
	r, err := l.reader.ReadRecord()
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, errors.New("the input ends in the middle of a record")
	}
	return r, err
}
