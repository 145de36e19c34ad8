// Package node puts a node together from a configuration: what there is, in which order it starts, and how it stops.
//
//	data directory ─▶ listeners ─▶ replication ─▶ metadata log ─▶ partitions ─▶ group coordinators ─▶ clients, HTTP
package node
