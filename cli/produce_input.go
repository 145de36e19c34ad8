package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recordSource gives the records of an input, one by one; io.EOF at its end.
type recordSource interface {
	next() (*kgo.Record, error)
	// limit sets how many bytes a record may have. It is called before next.
	limit(bytesMax int)
}

// input is what is to be written: the records of standard input, or of files one after another.
type input struct {
	recordSource            // of the file that is read now
	files        []*os.File // those that are left, and the one that is read
	bytesMax     int
	source       func(io.Reader) (recordSource, error)
}

// input opens the files, so that one that is missing is told before anything is written.
func (p *produce) input(stdin io.Reader) (*input, error) {
	in := &input{source: p.source}
	for _, name := range p.files {
		f, err := os.Open(name)
		if err != nil {
			in.close()
			return nil, err
		}
		in.files = append(in.files, f)
	}
	if len(in.files) > 0 {
		stdin = in.files[0]
	}
	var err error
	in.recordSource, err = in.source(stdin)
	return in, err
}

func (in *input) close() {
	for _, f := range in.files {
		f.Close()
	}
}

func (in *input) limit(bytesMax int) {
	in.bytesMax = bytesMax
	in.recordSource.limit(bytesMax)
}

func (in *input) next() (*kgo.Record, error) {
	r, err := in.recordSource.next()
	for errors.Is(err, io.EOF) && len(in.files) > 1 {
		in.files[0].Close()
		in.files = in.files[1:]
		if in.recordSource, err = in.source(in.files[0]); err != nil {
			return nil, err
		}
		in.recordSource.limit(in.bytesMax)
		r, err = in.recordSource.next()
	}
	if err != nil && !errors.Is(err, io.EOF) && len(in.files) > 0 {
		err = fmt.Errorf("%s: %w", in.files[0].Name(), err)
	}
	return r, err
}

func (p *produce) source(in io.Reader) (recordSource, error) {
	if p.format == "" {
		separator := strings.NewReplacer(`\t`, "\t", `\\`, `\`).Replace(p.keySeparator)
		l := &lines{in: bufio.NewReaderSize(in, 64<<10), separator: []byte(separator)}
		if p.json {
			return &jsonLines{l}, nil
		}
		return l, nil
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
	l.number++
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
