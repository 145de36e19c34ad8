package main

import (
	"testing"
	"time"
)

func TestGapsBetweenAcknowledgements(t *testing.T) {
	began := time.Now()
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	a := &acks{}
	for p := range killPartitions {
		for _, ms := range []int{0, 500, 600, 700} { // the first gap is over before anything is done
			a.add(p, at(ms-10), at(ms))
		}
	}
	kill, done := at(690), at(720)
	a.add(0, at(705), at(1700)) // sent before the kill, and acknowledged by the new leader
	if _, all := a.gaps(kill, done); all {
		t.Error("all partitions acknowledge again, though none has a record that was sent since")
	}
	for p := range killPartitions {
		a.add(p, at(730), at(1750))
	}
	gaps, all := a.gaps(kill, done)
	if !all || gaps[0] != 1 || gaps[1] != 1.05 {
		t.Errorf("after the kill: %v, %v", gaps, all)
	}
	if gaps, _ := a.gaps(at(550), at(550)); gaps[1] != 1.05 {
		t.Errorf("a gap that ends later counts: %v", gaps)
	}
	if gaps, _ := a.gaps(at(1750), at(1750)); gaps[0] != 0 {
		t.Errorf("without an acknowledgement: %v", gaps)
	}
}

func TestFiguresOfSoManyNodes(t *testing.T) {
	for _, c := range []struct {
		o       options
		figures int // 0: refused
	}{
		{options{nodes: 1}, len(brokers.figures)}, {options{nodes: 3}, len(clusters.figures)}, {options{nodes: 2}, 0},
		{options{nodes: 3, only: "kill"}, 5}, {options{nodes: 1, only: "kill"}, 0}, {options{nodes: 3, only: "crash"}, 0},
	} {
		of, err := c.o.suite()
		var figures []figure
		if err == nil {
			figures, err = c.o.figures(of)
		}
		if len(figures) != c.figures || (err == nil) != (c.figures > 0) {
			t.Errorf("%+v: %d figures, %v", c.o, len(figures), err)
		}
	}
}
