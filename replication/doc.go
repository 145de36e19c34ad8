// Package replication runs Raft groups: many go.etcd.io/raft/v3 nodes on a few workers, over the partition logs.
//
// A group advances in turns. A turn takes everything that waits for the group (finished syncs, messages, proposals), hands
// it to raft, writes the entries that raft wants written, and lets the replica know what was committed. Who calls turns is
// the Host's business; a group never runs on two workers at once.
//
//	propose ─▶ inbox ─▶ turn ─▶ Replica.Prepare ─▶ raft ─▶ log.Append ─▶ syncer ─▶ inbox ─▶ turn ─▶ raft ─▶ Replica.Committed
//
// The syncer is the group commit: while one sync runs, appends of all groups gather for the next. One or two dirty files
// are synced each; beyond that a single sync of the whole file system covers them all.
//
// The replicas of a group change while it works (membership.go), and a follower that needs what the leader's log no longer has
// begins its log where the leader's begins (snapshot.go).
//
// Term, vote and members live in one Journal for all groups of a data directory. The raft log is the partition log: entries are
// not stored twice, and what raft reads back to apply carries no data, because replicas only need to know how far the
// log is committed.
package replication
