// Package builtin has the connectors that come with Weir.
package builtin

import "github.com/weir/weir/connect/sdk"

// Connectors are all of them.
func Connectors() []sdk.Connector { return nil }
