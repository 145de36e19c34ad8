// Package test meets Weir as its users do: it starts the real binary and talks to it with other people's clients.
package test
