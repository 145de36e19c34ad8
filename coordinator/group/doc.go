// Package group is the coordinator of consumer groups of the classic protocol: a pure state machine for the groups of one
// partition of __consumer_offsets.
//
// Offsets and, once a generation's assignment is known, the group's members are records in that partition, in Kafka's own
// formats. Who waits for a join, and whose heartbeat is due when, is only in memory: after a change of the coordinator the
// members of the last generation go on, and a rebalance that was under way is begun again by its members.
//
//	Empty ── a member joins ──▶ PreparingRebalance ── all are here, or late ──▶ CompletingRebalance ── leader syncs ──▶ Stable
//	  ▲                            ▲   │ nobody left                                  │ a member comes or goes            │
//	  └────────────────────────────┼───┘                 ◀────────────────────────────┴───────────────────────────────────┘
package group
