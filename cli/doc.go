// Package cli is the command line of weir: one file per command group. Except for serve, log and
// cluster start-local, every command is an ordinary Kafka client and works with any Kafka cluster. What moves replicas is planned by
// functions that only decide (plan_*.go), and done by one loop (mover.go) that learns what is left from the cluster.
//
// Results go to standard output, as tables for people or as JSON for scripts; everything else goes to standard error. The exit
// code is 0 if all went well, 1 if something failed and 2 if the command was used wrongly; that of cluster health is its answer. A
// failure is told in one sentence.
//
// Text from a cluster is never trusted: in tables, and whenever output goes to a terminal, control characters are escaped.
package cli

//go:generate go test -run ^TestReferenceIsCurrent$ -update .
