// Package http sends records to a web service, with the class name and options of Aiven's HTTP sink, and takes those that others post, by a
// webhook source.
package http

import "github.com/weir/weir/connect/sdk"

// Connectors are those of this package.
func Connectors() []sdk.Connector { return []sdk.Connector{Sink{}, Webhook{}} }
