// Package cluster is the cluster's metadata: a pure state machine replayed from the metadata log, partition 0 of
// __cluster_metadata.
//
// Controller decides: Handle takes a request and proposes records and an answer. Replay applies a record, and is the only
// thing that changes the Image, an immutable picture that every node holds and everyone reads. One record's key names its
// kind, its value is JSON (so that `weir log dump --records` reads like a story); fields are only ever added, and a kind
// that is not known stops the node with the advice to upgrade it.
//
// A reassignment is a record that names where a partition shall be; the partition's group works towards it, and its leader says
// when it is there. Whoever may hold the partition stays among its replicas until then, also when the reassignment is changed or
// called off, so that no broker removes what it still votes on. Likewise the voters of the metadata: the image says who they
// shall be. A broker that comes back without its data is, to Raft, another node: its incarnation is part of its number.
//
// Numbers and messages of errors are Kafka's.
package cluster
