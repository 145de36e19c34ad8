//go:build !race

package test

// raceFlag builds the node as the tests are built.
var raceFlag []string
