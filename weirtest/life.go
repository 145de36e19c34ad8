package weirtest

// Stop stops the node as an operator would: what is under way is answered, everything is on disk. Restart starts it again. So
// that it can stop, Pause and faults of the disk end.
func (n *Node) Stop() {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stop()
}

// stop stops the node if it runs. Under mu.
func (n *Node) stop() {
	n.t.Helper()
	if n.running == nil {
		return
	}
	n.wire.open()
	n.disk.faults.Heal()
	if err := n.take().Stop(); err != nil {
		n.t.Errorf("the node did not stop cleanly: %v", err)
	}
}

// Kill ends the node at once: connections break, nothing that is under way is answered. In memory it is a power cut: of what
// was not synced, nothing is left. In a folder it is a kill -9: what was written stays. Until Restart, connections are
// refused.
func (n *Node) Kill() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running != nil {
		n.kill()
	}
}

// kill ends a node that runs. Under mu. Connections go first: nothing that the disk will not have is acknowledged.
func (n *Node) kill() {
	for _, l := range n.listen {
		l.detach()
	}
	n.wire.cut()
	r := n.take()
	r.quiet()
	n.disk.crash()
	_ = r.Kill() // it says that its disk takes nothing more
	n.background.Go(r.Wait)
}

// take makes the running node the past. Under mu.
func (n *Node) take() *running {
	r := n.running
	n.running = nil
	close(r.over)
	return r
}

// Restart starts the node again, with the same addresses and what is on its disk. One that runs is stopped first.
func (n *Node) Restart() {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stop()
	if err := n.start(); err != nil {
		n.t.Fatalf("the node does not start again: %v", err)
	}
}

// Failed gives the error that ended the node by itself: its disk failed. It is down then, as after Kill.
func (n *Node) Failed() <-chan error { return n.failed }

// watch takes a node down that says it failed, as its process would end.
func (n *Node) watch(r *running) {
	select {
	case <-r.over:
	case err := <-r.Failed():
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.running != r {
			return
		}
		if !n.disk.broken {
			n.t.Errorf("the node failed: %v", err)
		}
		n.kill()
		n.failed <- err // start has made room
	}
}

// Heal ends all faults of the wire and of the disk, and removes all hooks. A node that is down stays down.
func (n *Node) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wire.heal()
	n.disk.faults.Heal()
}

// Close stops the node for good and gives its addresses back. Start does it at the end of the test.
func (n *Node) Close() {
	n.t.Helper()
	n.Stop()
	n.mu.Lock()
	for _, l := range n.listen {
		l.close()
	}
	n.mu.Unlock()
	n.background.Wait()
}
