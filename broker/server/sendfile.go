package server

import (
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/log"
)

// sendFile sends a run of a file: by the kernel alone if both ends allow it, else through memory.
func sendFile(nc net.Conn, run log.Run) error {
	if err := nc.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	tcp, ok := nc.(*net.TCPConn)
	fd := run.File.Fd()
	if !ok || fd == vfs.NoFd {
		_, err := io.Copy(nc, io.NewSectionReader(run.File, run.Pos, run.Len))
		return err
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	pos, left := run.Pos, run.Len
	var failed error
	err = raw.Write(func(socket uintptr) bool {
		for left > 0 {
			n, err := unix.Sendfile(int(socket), int(fd), &pos, int(min(left, 1<<30)))
			switch {
			case err == unix.EINTR:
				continue
			case err == unix.EAGAIN:
				return false // the socket is full: wait until it takes more
			case err != nil:
				failed = fmt.Errorf("sendfile: %w", err)
				return true
			case n == 0:
				failed = io.ErrUnexpectedEOF
				return true
			}
			left -= int64(n)
		}
		return true
	})
	if failed != nil {
		return failed
	}
	return err
}
