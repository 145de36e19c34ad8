package node

import "time"

// step is a part of a node's start.
type step struct {
	name string
	took time.Duration
}

// run starts everything, and notes how long what comes before serving takes.
func (n *Node) run() error {
	n.begun = n.opts.Now()
	for _, s := range []struct {
		name string
		do   func() error
	}{
		{"directory", n.openDir}, {"listeners", n.listen}, {"identity", n.identify}, {"transport", n.startTransport}, {"cluster", n.form},
		{"replication", n.startReplication}, {"partitions", n.startMetadata},
		{"registration", n.register}, {"deleted topics", n.tidy}, {"leaders", n.awaitLeaders},
	} {
		began := time.Now()
		if err := s.do(); err != nil {
			return err
		}
		n.steps = append(n.steps, step{s.name, time.Since(began)})
	}
	return n.serve()
}
