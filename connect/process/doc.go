// Package process runs connectors that are programs of their own, in any language: Find asks the programs in some folders what they are,
// and gives connectors whose tasks each are a process of such a program. They speak JSON, a line each message, over its standard input and
// output; docs/connect-process.md is the protocol. To the runtime they are as any other connector.
//
// The worker asks and the process answers, in order, so that a process needs neither threads nor a library. Polls are asked for ahead, a
// few at a time, which is the source's flow control. The end of its standard input is what tells a process to end: by its worker's will, or
// since its worker is no more.
//
//	find.go       the programs, and what they say of themselves
//	connector.go  a program as a connector
//	child.go      the process: how it begins, what it logs, how it ends
//	conn.go       requests and answers
//	message.go    what comes from the process, which may be anything
//	encode.go     what goes to it
//	source.go     its tasks
//	sink.go
package process
