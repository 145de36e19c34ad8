package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// Handler answers requests.
type Handler interface {
	// Supports tells whether a version of an API is answered. What is not gets its connection closed.
	Supports(key, version int16) bool
	// Handle is called in the order in which a connection's requests came, and must not block. It may answer later, from any
	// goroutine.
	Handle(*Request)
}

// Config says what connections may do. Zero limits are none.
type Config struct {
	MaxRequestBytes     int           // largest frame (socket.request.max.bytes)
	MaxConnections      int           // at the same time
	MaxConnectionsPerIP int           // from one address
	IdleTimeout         time.Duration // silence after which a connection is closed
	// MemoryBytes bounds the memory of all requests under way.
	MemoryBytes int64
	Logger      *slog.Logger
}

const (
	// pipelineMax is how many requests of a connection may be under way.
	pipelineMax = 64
	// frameTime is how long the rest of a frame may take once it has begun, for every frameTimeBytes of it.
	frameTime      = 30 * time.Second
	frameTimeBytes = 1 << 20
	// writeTime is how long a reader may leave a response lying.
	writeTime = 60 * time.Second
	// acceptPause is how long to wait when the system has no more connections to give.
	acceptPause = 20 * time.Millisecond
)

// Server serves connections.
type Server struct {
	cfg     Config
	handler Handler
	memory  *semaphore.Weighted

	mu        sync.Mutex
	listeners []net.Listener
	conns     map[*Conn]struct{}
	perIP     map[string]int
	stopping  bool
	running   sync.WaitGroup

	requests atomic.Int64
}

// New makes a server.
func New(cfg Config, h Handler) *Server {
	if cfg.MemoryBytes <= 0 {
		cfg.MemoryBytes = 256 << 20
	}
	cfg.MemoryBytes = max(cfg.MemoryBytes, int64(cfg.MaxRequestBytes)) // one request can always proceed
	return &Server{cfg: cfg, handler: h, memory: semaphore.NewWeighted(cfg.MemoryBytes), conns: map[*Conn]struct{}{}, perIP: map[string]int{}}
}

// Serve accepts connections until Shutdown. name is the listener's.
func (s *Server) Serve(l net.Listener, name string) error {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		return l.Close()
	}
	s.listeners = append(s.listeners, l)
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()
	for {
		c, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			s.cfg.Logger.Warn("a connection could not be accepted", "listener", name, "error", err)
			time.Sleep(acceptPause)
			continue
		}
		s.start(c, name)
	}
}

func (s *Server) start(nc net.Conn, listener string) {
	ip, _, err := net.SplitHostPort(nc.RemoteAddr().String())
	if err != nil {
		ip = nc.RemoteAddr().String()
	}
	s.mu.Lock()
	if s.stopping || s.cfg.MaxConnections > 0 && len(s.conns) >= s.cfg.MaxConnections ||
		s.cfg.MaxConnectionsPerIP > 0 && s.perIP[ip] >= s.cfg.MaxConnectionsPerIP {
		s.mu.Unlock()
		_ = nc.Close()
		return
	}
	c := newConn(s, nc, listener, ip)
	s.conns[c] = struct{}{}
	s.perIP[ip]++
	s.running.Add(2)
	s.mu.Unlock()
	go func() { defer s.running.Done(); c.read() }()
	go func() { defer s.running.Done(); c.write(); s.forget(c) }()
}

func (s *Server) forget(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.perIP[c.ip]--; s.perIP[c.ip] == 0 {
		delete(s.perIP, c.ip)
	}
}

// Connections is the number of open connections.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Requests is the number of requests so far.
func (s *Server) Requests() int64 { return s.requests.Load() }

// Shutdown stops accepting and reading, waits until what is under way is answered, or ctx ends, and closes all connections.
func (s *Server) Shutdown(ctx context.Context) {
	s.mu.Lock()
	s.stopping = true
	for _, l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.conns {
		c.stopReading()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.running.Wait(); close(done) }()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		c.abort()
	}
	s.mu.Unlock()
	<-done
}
