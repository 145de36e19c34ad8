// Package builtin has the connectors that come with Weir.
package builtin

import (
	"slices"

	"github.com/weir/weir/connect/datagen"
	"github.com/weir/weir/connect/file"
	"github.com/weir/weir/connect/opensearch"
	"github.com/weir/weir/connect/postgres"
	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/sql"
)

// Connectors are all of them.
func Connectors() []sdk.Connector {
	return slices.Concat(datagen.Connectors(), file.Connectors(), opensearch.Connectors(), postgres.Connectors(), sql.Connectors())
}
