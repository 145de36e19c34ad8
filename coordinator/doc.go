// Package coordinator hosts pure state machines (package machine) on partitions.
//
// A Runtime loads its machine by replaying the partition's log when this node becomes the partition's leader, hands it
// requests and the passing of time, appends the records that it proposes and holds replies back until these are committed.
// Records are replayed on the machine as soon as they are proposed; if one of them cannot be committed, the whole machine
// is thrown away and loaded again, so machines never have to take anything back.
package coordinator
