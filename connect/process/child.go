package process

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// child is a process of a program.
type child struct {
	name string   // of the program, without its folder
	in   *os.File // what it reads
	out  *os.File // what it writes
	mask func(text string) string
	log  func(line string) // nil: nobody hears its log
	gone chan struct{}     // closed when it has ended, and its log was read

	mu    sync.Mutex
	cmd   *exec.Cmd
	over  bool   // it has ended
	code  string // how
	fine  bool   // by itself, with exit code 0
	last  string // line of its log
	lines lineLimit
}

// readRest is how long what a process wrote before it ended may take to be read. It takes that long only if the process has left others
// behind that could write still.
const readRest = time.Second

// begin starts a program. log is given the lines that it writes to its standard error, after mask.
func begin(program string, mask func(text string) string, log func(line string)) (*child, error) {
	c := &child{name: filepath.Base(program), mask: mask, log: log, gone: make(chan struct{})}
	theirs, ours := [3]*os.File{}, [3]*os.File{}
	defer func() {
		for _, f := range theirs {
			_ = f.Close()
		}
	}()
	for i := range theirs {
		r, w, err := os.Pipe()
		if err != nil {
			for _, f := range ours {
				_ = f.Close()
			}
			return nil, err
		}
		if theirs[i], ours[i] = w, r; i == 0 {
			theirs[i], ours[i] = r, w
		}
	}
	c.in, c.out = ours[0], ours[1]
	c.cmd = &exec.Cmd{Path: program, Args: []string{program}, Stdin: theirs[0], Stdout: theirs[1], Stderr: theirs[2], SysProcAttr: attributes()}
	begun, logged := make(chan error), make(chan struct{})
	go func() {
		// Linux ends a process when the thread that began it ends. So that thread is kept until the process has ended, and ends then.
		runtime.LockOSThread()
		err := c.cmd.Start()
		begun <- err
		if err == nil {
			c.wait(ours[2], logged)
		}
	}()
	if err := <-begun; err != nil {
		for _, f := range ours {
			_ = f.Close()
		}
		var why *os.PathError
		if errors.As(err, &why) {
			err = why.Err
		}
		return nil, err
	}
	go c.readLog(ours[2], logged)
	return c, nil
}

// wait waits for the end of the process.
func (c *child) wait(stderr *os.File, logged chan struct{}) {
	_ = c.cmd.Wait() // the state says all
	c.mu.Lock()
	c.over = true
	state := c.cmd.ProcessState
	c.fine = state.Success()
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		c.code = "it was ended by the signal " + status.Signal().String()
	} else {
		c.code = fmt.Sprintf("it ended with exit code %d", state.ExitCode())
	}
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) // what it has left behind
	c.mu.Unlock()
	until := time.Now().Add(readRest)
	_ = stderr.SetReadDeadline(until)
	_ = c.out.SetReadDeadline(until)
	<-logged
	_ = stderr.Close()
	close(c.gone)
}

// mostOfLine is how much of a line of a log is read, and mostOfText how much of that, and of other texts, is shown: so much less that what is
// secret in it is not cut in two before it is hidden.
const (
	mostOfLine = 64 << 10
	mostOfText = 4 << 10
)

// shorten cuts a text that is to be shown.
func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

func (c *child) readLog(stderr *os.File, logged chan struct{}) {
	defer close(logged)
	r := bufio.NewReaderSize(stderr, mostOfLine)
	for cut := false; ; {
		b, more, err := r.ReadLine()
		if err != nil {
			return
		}
		line := ""
		if !cut {
			line = shorten(c.mask(strings.TrimRight(strings.ToValidUTF8(string(b), "\uFFFD"), " \r\t")), mostOfText)
		}
		if line != "" {
			c.mu.Lock()
			c.last = line
			c.mu.Unlock()
			if c.log != nil {
				c.lines.pass(line, c.log)
			}
		}
		cut = more // the rest of a long line is left out
	}
}

// lineLimit keeps a log from being flooded.
type lineLimit struct {
	second int64
	count  int
}

// linesPerSecond is how many lines of a process are logged in a second.
const linesPerSecond = 200

func (l *lineLimit) pass(line string, log func(string)) {
	if now := time.Now().Unix(); now != l.second {
		if left := l.count - linesPerSecond; left > 0 {
			log(fmt.Sprintf("WARN %d lines were left out: no more than %d a second are logged", left, linesPerSecond))
		}
		l.second, l.count = now, 0
	}
	if l.count++; l.count <= linesPerSecond {
		log(line)
	}
}

// kill ends the process and those that it has started.
func (c *child) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
	}
}

// ended tells how it ended, with the last line of its log. gone is closed.
func (c *child) ended() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == "" {
		return c.code + ", and has logged nothing"
	}
	return c.code + "; the last line of its log: " + c.last
}
