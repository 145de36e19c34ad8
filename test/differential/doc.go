// Command differential asks Weir and Apache Kafka the same things and compares what they answer.
//
// Both are started afresh. Every request goes to both as a frame of its own, in every version that both advertise, and the
// answers are compared field by field; so is what becomes of the connection. Scenarios ask about one thing each; after them
// random requests are made from a seed. What must differ (ids, ports) is paired: the first time that two ids stand in the
// same place they belong together from then on, and a request that carries Kafka's goes to Weir with Weir's.
//
// With -nodes 3 both are clusters, and are asked, at each node, about what only clusters have. Topics are placed on certain nodes there, so
// that both have the same leaders.
//
// The table in docs/differences.md is the allowance: a difference that it does not list is a failure, and so is a line of it
// that nothing differs in any more.
package main
