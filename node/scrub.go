package node

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/weir/weir/partition"
)

const (
	// scrubRest is how long after the start of the node its logs are first looked through, and how often it is looked whether
	// that was turned on.
	scrubRest = time.Minute
	// scrubEach is the time from the beginning of one look through all logs to the next, or longer if it takes longer.
	scrubEach = 7 * 24 * time.Hour
	// scrubStep is how much is read between two pauses.
	scrubStep = 1 << 20
)

var errStopped = errors.New("the node stops")

// scrub looks for damage in the logs of this node until it stops.
func (n *Node) scrub() {
	for wait := scrubRest; n.pause(wait); {
		began := time.Now()
		if n.scrubOnce() != nil {
			return
		}
		wait = max(scrubEach-time.Since(began), scrubRest)
	}
}

// scrubOnce looks through all logs, each time in another order, so that also a node that is often started anew comes to all.
func (n *Node) scrubOnce() error {
	all := []*partition.Partition{n.log}
	n.set.Each(func(p *partition.Partition) { all = append(all, p) })
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	read := int64(0)
	for _, p := range all {
		err := p.Check(func(bytes int64) error {
			if read += bytes; read < scrubStep {
				return nil
			}
			defer func() { read = 0 }()
			return n.paced(read)
		})
		if errors.Is(err, errStopped) {
			return err
		}
		if err != nil {
			n.opts.Logger.Error("a log could not be looked through for damage", "partition", p.String(), "error", err)
		}
	}
	return nil
}

// paced waits as long as reading some bytes may take.
func (n *Node) paced(bytes int64) error {
	for {
		rate := n.effective.Load().LogScrubBytesPerSecond
		wait := scrubRest
		if rate > 0 {
			wait = time.Duration(float64(bytes) / float64(rate) * float64(time.Second))
		}
		if !n.pause(wait) {
			return errStopped
		}
		if rate > 0 {
			return nil
		}
	}
}

// pause waits. False: the node stops.
func (n *Node) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-n.stop:
		return false
	}
}
