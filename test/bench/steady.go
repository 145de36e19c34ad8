package main

import (
	"context"
	"fmt"
	"os"
	"sync"
)

// memory brings the page cache into the state that it has on a server that has been up for a day: full. On a virtual machine
// memory that is touched for the first time, or again after it was given back, costs the kernel about two seconds a GB, and a
// broker that writes into an empty page cache seems to take that itself.
//
// It is filled by reading files that are one large hole. Such pages take no room on disk, need not be written, and are the
// first to go. The files have no names, so nothing of them can be left behind.
type memory struct {
	dir   string
	most  int64
	holes []*os.File
}

// freeBytes is left free, as the kernel leaves some.
const freeBytes = 600 << 20

// fill reads as much as memory is free.
func (m *memory) fill(ctx context.Context) error {
	free, err := memoryOf("MemFree")
	if err != nil {
		return err
	}
	size := min(free-freeBytes, m.most)
	if size <= 0 {
		return nil
	}
	f, err := os.CreateTemp(m.dir, "hole-")
	if err != nil {
		return err
	}
	m.holes = append(m.holes, f) // as long as it is open, its pages stay
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	if err := f.Truncate(size); err != nil {
		return fmt.Errorf("filling the page cache: %w", err)
	}
	const readers = 2
	var all sync.WaitGroup
	for i := range int64(readers) {
		all.Go(func() {
			buffer := make([]byte, 1<<20)
			for at := size / readers * i; at < size/readers*(i+1) && ctx.Err() == nil; at += int64(len(buffer)) {
				_, _ = f.ReadAt(buffer, at) // what it reads is of no interest
			}
		})
	}
	all.Wait()
	return ctx.Err()
}

func (m *memory) release() {
	for _, f := range m.holes {
		_ = f.Close()
	}
	m.holes = nil
}
