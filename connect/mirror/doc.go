// Package mirror copies topics of another Kafka cluster, and how far its consumer groups are, under the names and with the options of
// MirrorMaker 2 (KIP-382): MirrorSourceConnector, MirrorCheckpointConnector and MirrorHeartbeatConnector. What they leave in topics
// has MirrorMaker's formats, so that either can go on where the other ended, and clients that read them (RemoteClusterUtils) work.
//
// The source takes records as they come from the consumer and hands them to the producer; it neither copies nor converts them. Where
// a stretch of records landed is written to the topic of offset syncs, as pairs of an offset in the source and one in the target.
// From those the checkpoint connector translates the committed offsets of groups: to the offset after the last pair that is not after
// what is committed. That is never too far; a group that moves reads some records again, and misses none.
//
// Policies, filters, formats and translation are pure; topics.go asks the clusters, and the tasks move the records.
package mirror
