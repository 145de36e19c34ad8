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
	"golang.org/x/time/rate"
)

// Handler answers requests.
type Handler interface {
	// Supports tells whether a version of an API is answered. What is not gets its connection closed.
	Supports(key, version int16) bool
	// Handle is called in the order in which a connection's requests came, and must not block. It may answer later, from any
	// goroutine.
	Handle(*Request)
	// Unsettled tells whether Handle left something undone that Settle does.
	Unsettled() bool
	// Settle finishes that: right here, waiting for it, if the caller has nothing else to do.
	Settle(here bool)
}

// Config says what connections may do. Zero limits are none.
type Config struct {
	MaxRequestBytes int           // largest frame (socket.request.max.bytes)
	IdleTimeout     time.Duration // silence after which a connection is closed
	Limits          Limits
	// MemoryBytes bounds the memory of all requests under way.
	MemoryBytes int64
	Logger      *slog.Logger
}

// Limits bound who may connect. They can be changed while the server runs; connections that are there stay.
type Limits struct {
	Connections      int            // at the same time; further ones wait to be accepted (max.connections)
	ConnectionsPerIP int            // from one address; further ones are closed (max.connections.per.ip)
	PerIP            map[string]int // other limits for single addresses (max.connections.per.ip.overrides)
	PerSecond        int            // new ones; further ones wait (max.connection.creation.rate)
}

// of gives the limit of an address.
func (l *Limits) of(ip string) int {
	if n, ok := l.PerIP[ip]; ok {
		return n
	}
	return l.ConnectionsPerIP
}

const (
	// pipelineMax is how many requests of a connection may be under way.
	pipelineMax = 64
	// frameTime is how long the rest of a frame may take once it has begun, anew for every frameTimeBytes of it.
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
	// overdraft is full while a request goes beyond the budget.
	overdraft chan struct{}

	mu        sync.Mutex
	limits    Limits
	room      *sync.Cond // signalled when a connection more may be let in
	listeners []net.Listener
	conns     map[*Conn]struct{}
	perIP     map[string]int
	stopping  bool
	running   sync.WaitGroup

	pace  *rate.Limiter // of new connections
	inUse atomic.Int64  // bytes of the memory budget
	stats Stats
}

// New makes a server.
func New(cfg Config, h Handler) *Server {
	if cfg.MemoryBytes <= 0 {
		cfg.MemoryBytes = 256 << 20
	}
	s := &Server{
		cfg: cfg, handler: h, memory: semaphore.NewWeighted(cfg.MemoryBytes), overdraft: make(chan struct{}, 1),
		conns: map[*Conn]struct{}{}, perIP: map[string]int{}, pace: rate.NewLimiter(rate.Inf, 1),
	}
	s.room = sync.NewCond(&s.mu)
	s.SetLimits(cfg.Limits)
	return s
}

// SetLimits changes the limits. They hold for connections that come from now on.
func (s *Server) SetLimits(l Limits) {
	pace := rate.Inf
	if l.PerSecond > 0 {
		pace = rate.Limit(l.PerSecond)
	}
	s.pace.SetLimit(pace)
	s.mu.Lock()
	s.limits = l
	s.mu.Unlock()
	s.room.Broadcast()
}

// admit waits until a further connection may be accepted. False: the server stops.
func (s *Server) admit() bool {
	time.Sleep(s.pace.Reserve().Delay())
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.limits.Connections > 0 && len(s.conns) >= s.limits.Connections && !s.stopping {
		s.room.Wait()
	}
	return !s.stopping
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
	for s.admit() {
		c, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			s.stats.Failed.Add(1)
			s.cfg.Logger.Warn("a connection could not be accepted", "listener", name, "error", err)
			time.Sleep(acceptPause)
			continue
		}
		s.start(c, name)
	}
	return nil
}

func (s *Server) start(nc net.Conn, listener string) {
	ip, _, err := net.SplitHostPort(nc.RemoteAddr().String())
	if err != nil {
		ip = nc.RemoteAddr().String()
	}
	s.mu.Lock()
	if most := s.limits.of(ip); s.stopping || most > 0 && s.perIP[ip] >= most {
		s.mu.Unlock()
		s.stats.TooMany.Add(1)
		s.cfg.Logger.Debug("closing a connection: its address has as many as it may (max.connections.per.ip)", "client", nc.RemoteAddr().String())
		_ = nc.Close()
		return
	}
	c := newConn(s, nc, listener, ip)
	s.conns[c] = struct{}{}
	s.perIP[ip]++
	s.running.Add(2)
	s.mu.Unlock()
	s.stats.Opened.Add(1)
	go func() { defer s.running.Done(); c.read() }()
}

func (s *Server) forget(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.perIP[c.ip]--; s.perIP[c.ip] == 0 {
		delete(s.perIP, c.ip)
	}
	s.room.Signal()
}

// Connections is the number of open connections.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Stats is what the server counts.
func (s *Server) Stats() *Stats { return &s.stats }

// Memory gives the bytes that requests under way take, and how many they may.
func (s *Server) Memory() (used, limit int64) { return s.inUse.Load(), s.cfg.MemoryBytes }

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
	s.room.Broadcast()
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
