// Command shop is the running example: an e-commerce shop whose systems talk only through topics.
//
// See README.md in this folder. `make shop` runs it all against a fresh node.
package main
