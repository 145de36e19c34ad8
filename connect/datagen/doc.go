// Package datagen makes up events of a shop, at a rate: something to try pipelines with. Which event comes when depends on the seed
// and nothing else but its time, so that a task that begins again goes on as if nothing had happened.
package datagen

import "github.com/weir/weir/connect/sdk"

// Connectors are those of this package.
func Connectors() []sdk.Connector { return []sdk.Connector{Source{}} }
