// Package vfs is the file-system seam: everything that must survive a crash reaches the disk through it.
//
// OS is the real one. Mem is its double with honest sync semantics: what was not synced may be gone, torn or out of order
// after a crash. Faults wraps either and injects errors by kind, path and n-th call.
package vfs

import "io"

// FS is a file system. Names are slash-separated paths. All methods may be called from any goroutine.
type FS interface {
	// Create makes an empty file for reading and writing, or empties the one there is.
	Create(name string) (File, error)
	// Open opens a file for reading. A missing file is an error that satisfies errors.Is(err, fs.ErrNotExist).
	Open(name string) (File, error)
	// OpenReadWrite opens an existing file for reading and writing.
	OpenReadWrite(name string) (File, error)
	Remove(name string) error
	RemoveAll(dir string) error
	// Rename replaces the target in one step. It is durable after SyncDir of the folder.
	Rename(from, to string) error
	// MkdirAll makes a folder and its parents. Each is durable after SyncDir of its parent.
	MkdirAll(dir string) error
	// List gives the names in a folder, sorted.
	List(dir string) ([]string, error)
	// Size gives a file's length in bytes.
	Size(name string) (int64, error)
	// SyncDir makes creations, renames and removals in a folder durable. A sync that fails gives a *FinalError.
	SyncDir(dir string) error
	// SyncAll makes everything written on the file system that holds dir durable: one call instead of a Sync for each of
	// many files (syncfs(2)).
	SyncAll(dir string) error
	// Lock takes an exclusive lock on a file, which it makes if missing. It fails at once with ErrLocked if another process
	// holds it; the lock ends with Close or with the process.
	Lock(name string) (io.Closer, error)
	// Space tells the total and the free bytes of the file system that holds dir.
	Space(dir string) (total, free int64, err error)
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size gives the file's length in bytes.
	Size() (int64, error)
	Truncate(size int64) error
	// Sync makes the content and the length durable (fdatasync).
	Sync() error
	// Fd is the descriptor for sendfile, or ^uintptr(0) when there is none.
	Fd() uintptr
}

// NoFd is what File.Fd answers where no descriptor exists.
const NoFd = ^uintptr(0)
