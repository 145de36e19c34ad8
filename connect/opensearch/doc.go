// Package opensearch writes records to OpenSearch and Elasticsearch, as documents. It takes the configurations of Aiven's OpenSearch sink and of
// Confluent's Elasticsearch sink.
//
// What Put is given is written as bodies of bulk requests into lanes, each of which sends one request after the other: all that is for one
// document is in the same lane, so that its order is kept while several requests are under way. A document whose id is the record's key has
// the record's offset as its version, so that what is sent again after a crash cannot replace what is newer.
//
//	document.go  a value as JSON
//	bulk.go      the lines of a bulk request
//	answer.go    what is to be done about its answer
//	lane.go      sending, and sending again
//	client.go    HTTP, and the next server if one does not answer
//	target.go    indices, data streams, mappings
package opensearch
