package sim

// conn is a client's connection to a node: requests and answers come in order, or it breaks and nothing more comes.
type conn struct {
	sim      *sim
	node     *node
	proc     *process // the other end, once something came there
	closed   bool     // the client gave it up; what it had sent may still come
	deaf     bool     // requests do not come any more
	dumb     bool     // answers do not come any more
	to, back int64    // when the last request and the last answer come, µs
}

func (s *sim) connect(n *node) *conn { return &conn{sim: s, node: n} }

// request carries something to the node, where call runs, which may send answers back to run at the client.
func (c *conn) request(what string, call func(p *process, reply func(func()))) {
	s := c.sim
	c.to = max(c.to+1, s.now+s.late().Microseconds())
	lost := s.chance(s.net.loss)
	s.schedule(&event{at: c.to, what: what, node: c.node, run: func() {
		p := c.node.proc
		if c.proc == nil {
			c.proc = p
		}
		if lost || c.proc != p || s.net.cut[link{clients, c.node.id}] {
			c.deaf = true
		}
		if !c.deaf {
			call(p, c.reply)
		}
	}})
}

// reply sends an answer, once the event in which it is given ends: if the power fails before, nothing was told.
func (c *conn) reply(answer func()) {
	c.sim.answers = append(c.sim.answers, func() { c.send(answer) })
}

// answer lets the answers of the present event go.
func (s *sim) answer() {
	for _, send := range s.answers {
		send()
	}
	s.answers = s.answers[:0]
}

// forget takes back what the present event would have told.
func (s *sim) forget() {
	s.answers = s.answers[:0]
	for _, t := range s.parts {
		t.acks = t.acks[:0]
	}
}

func (c *conn) send(answer func()) {
	s := c.sim
	c.back = max(c.back+1, s.now+s.late().Microseconds())
	lost := s.chance(s.net.loss)
	s.schedule(&event{at: c.back, what: "an answer comes to a client", run: func() {
		if lost || s.net.cut[link{c.node.id, clients}] {
			c.dumb = true
		}
		if !c.dumb && !c.closed {
			answer()
		}
	}})
}
