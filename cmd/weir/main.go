// Command weir is a Kafka broker and the tools to work with it, and with any other Kafka cluster.
package main

import (
	"os"

	"github.com/weir/weir/cli"
)

func main() { os.Exit(cli.Main()) }
