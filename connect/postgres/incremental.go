package postgres

import (
	"context"

	"github.com/weir/weir/connect/sdk"
)

type chunks struct{}

func (c *chunks) load(map[string]any)                         {}
func (c *chunks) store() map[string]any                       { return nil }
func (c *chunks) forget()                                     {}
func (t *task) overtake(*table, *sdk.Struct)                  {}
func (t *task) signal(context.Context, *table, []datum) error { return nil }
