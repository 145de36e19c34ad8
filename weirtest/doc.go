// Package weirtest starts a real Weir node, which is a Kafka broker, inside a test: in two milliseconds, in memory or in a
// folder, on free ports, and with everything that can go wrong at hand.
//
//	func TestOrders(t *testing.T) {
//		node := weirtest.Start(t, weirtest.Topic("orders", 3))
//		client, err := kgo.NewClient(kgo.SeedBrokers(node.Addr()))
//
// The node stops with the test. What it logs is shown if the test fails. Any number of nodes may run side by side. Where there
// is no test, Run starts one.
//
// # Trouble
//
// Between clients and the node lies a wire that the test holds in its hand:
//
//	node.Refuse()                                                           // no new connections
//	node.Cut()                                                              // the connections that are there end
//	node.Pause()                                                            // nothing moves, until Resume
//	node.Next(3, kmsg.Produce, weirtest.Fail(kerr.NotLeaderForPartition))   // not done, an error instead
//	node.Next(1, kmsg.Produce, weirtest.CutAnswer(0))                       // done, and the client never learns of it
//	node.Every(kmsg.Fetch, weirtest.Delay(50*time.Millisecond))             // slow
//	node.OnRequest(kmsg.Metadata, func(r weirtest.Request) weirtest.Action { … })
//
// Each of the last four gives a Hook, which counts: Await waits until a client has sent so many requests, so that no test
// needs to sleep.
//
// The node can be killed and started again at the same address, with what was on its disk: Kill, Restart. The disk can fill up
// or fail: FillDisk, FailDisk. Heal ends all of it but a node that is down.
//
// Nothing of this is imitated: the wire carries bytes, the disk of a node in memory loses at Kill what was not synced, and
// the node is the one that `weir serve` runs.
package weirtest
