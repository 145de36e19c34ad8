package s3

import "github.com/weir/weir/connect/sdk"

type source struct{ sdk.Connector }
