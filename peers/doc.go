// Package peers is what nodes tell each other beside Raft's messages: who leads, and requests to the controller.
//
// A note begins with a byte that says what it is, big-endian:
//
//	1  leaders   times: topic id 16 bytes, partition int32, epoch int32, count uint8, brokers in sync int32 each
//	2  request   id uint64, what is asked
//	3  reply     id uint64, what is answered
//
// The sender of leaders leads these partitions. Leaders are told when they change, and all of them to a node that comes up.
package peers
