package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	seeds := flag.String("seeds", "1,2,3", "seeds of the random requests, separated by commas; empty: only the scenarios")
	steps := flag.Int("steps", 600, "random requests for each seed")
	only := flag.String("only", "", "only the scenarios whose names contain this; none: -only -")
	binary := flag.String("bin", "bin/weir", "the weir to start")
	verbose := flag.Bool("v", false, "print every request and both answers")
	nodes := flag.Int("nodes", 1, "nodes of each: with more than one, only the scenarios of clusters are played")
	kafkaAt := flag.String("kafka", "", "address of an Apache Kafka that runs (fresh, with this program's options) instead of one of our own")
	weirAt := flag.String("weir", "", "the same for Weir")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "Asks Weir and Apache Kafka the same, and compares the answers. Run it in the repository's root.")
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(*seeds, *steps, *only, *verbose, *binary, *nodes, [2]string{*kafkaAt, *weirAt}); err != nil {
		fmt.Fprintln(os.Stderr, "differential:", err)
		os.Exit(1)
	}
}

func run(seeds string, steps int, only string, verbose bool, binary string, nodes int, addresses [2]string) error {
	allowed, err := readAllowance("docs/differences.md", nodes > 1)
	if err != nil {
		return err
	}
	var brokers [2][]string
	var stop func()
	var pid [2]string
	if nodes > 1 {
		brokers, pid, stop, err = startClusters(nodes)
	} else {
		addresses, stop, err = startBrokers(binary, addresses)
		brokers = [2][]string{{addresses[kafka]}, {addresses[weir]}}
	}
	defer stop()
	if err != nil {
		return err
	}
	w := newWorld(brokers, allowed, verbose)
	w.pid, w.stop = pid, stop
	if err := w.ready(); err != nil {
		return err
	}
	if w.several() {
		w.placeOffsets()
	}
	play := scenarios
	if w.several() {
		play, seeds = clusterScenarios, ""
	}
	for _, s := range play {
		if strings.Contains(s.name, only) {
			began := time.Now()
			w.begin(s.name, 0)
			s.play(w)
			fmt.Printf("%-28s %5d requests %6.1f s\n", s.name, w.step, time.Since(began).Seconds())
		}
	}
	for text := range strings.SplitSeq(seeds, ",") {
		if text == "" {
			continue
		}
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return fmt.Errorf("-seeds: %w", err)
		}
		began := time.Now()
		w.begin("random", seed)
		playRandom(w, seed, steps)
		playSpoilt(w, seed, steps)
		fmt.Printf("%-28s %5d requests %6.1f s\n", fmt.Sprintf("random, seed %d", seed), w.step, time.Since(began).Seconds())
	}
	return w.report(only == "" && (seeds != "" || w.several()))
}
