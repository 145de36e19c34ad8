// Package connect meets Weir's connectors as their users do: it starts the real binary and real databases, and lets what can go wrong
// with workers, databases and networks go wrong.
package connect
