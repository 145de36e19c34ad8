// Command bench measures Weir beside Apache Kafka, in one run on one machine, and prints both figures and how they compare.
//
// Both are started afresh, on disk, and loaded with `weir bench`, one record batch like the other. The figures under load are
// taken in the order Kafka, Weir, Kafka, so that it shows when the machine was not quiet. The others, about starting and
// stopping, take brokers of their own. docs/benchmarks.md tells how to run it and how to read it.
//
// It is no test: it fails when something does not work, never because something was slow. A measurement that fails is
// told of, and the run goes on without it; it fails at its end.
package main
