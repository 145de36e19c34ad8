// Package sim runs whole clusters on one thread: log, replication and partitions of several nodes, with disks, a network and
// time that are simulated, and clients that write down what they were promised.
//
// A seed decides everything: how large the cluster is, how fast its network and disks are, what goes wrong and when, and in
// which order things happen that may happen in any. The same seed of the same commit gives the same run, to the last event.
//
// A run has two phases. In the first one things go wrong. Then all is mended, and within a bounded time every partition must
// have a leader, every write must be acknowledged, and all replicas must be equal. After each event and at the end, what the
// nodes hold and what clients saw is compared with what must be true; see truth.go and history.go.
//
//	go test ./sim                            some hundred seeds
//	SIM_SEEDS=10000 go test ./sim -run Seeds more of them; SIM_FIRST=… begins with another one
//	SIM_SEED=7 go test ./sim -run Seeds      one of them; with SIM_TRACE=file, all that happens is written down
package sim
