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
//
// It answers as Kafka does, but for a few corners where Kafka leaves someone waiting or does needless work: an older join or
// sync of a member that asked again is answered; who leaves without having used its member id causes no rebalance; who is
// turned away from a full group is not waited for; a refused request leaves no empty group behind; an offset committed after
// the members left lives for its own retention time.
package group
