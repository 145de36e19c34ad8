// Package partition gives a replicated log Kafka's meaning: offsets, high watermark, idempotent producers, readers that
// wait for data.
//
// A Partition is the replica of one Raft group. Producing goes through the group (Append → Propose → Prepare → Committed);
// reading goes straight to the log, up to the high watermark, from any goroutine.
//
//	leader epoch    = Raft term
//	high watermark  = log end offset after the last committed entry
//	log end offset  = end of the log on this node, committed or not
//
// A Set holds the partitions of this node and follows the cluster's image: it opens what was placed here, removes what was
// deleted, and does the rounds of retention, checkpoints and expiry.
package partition
