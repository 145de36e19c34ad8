// Package api answers Kafka's requests, one file an API. A handler checks, routes to a partition, a coordinator or the
// controller, and answers; what the answers mean is decided there, not here.
//
// The table in api.go is the truth about what is spoken: a request that is not in it never gets here, and ApiVersions is
// generated from it.
package api
