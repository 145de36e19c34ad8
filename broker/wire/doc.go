// Package wire turns a frame into a request and a response into a frame.
//
// Before a frame is decoded it is walked by the guard: every length, count and tag is held against the bytes that are left,
// and what decoding will allocate is added up. What passes cannot make the decoder hang, panic or allocate without bound.
// The layouts that the guard knows are facts of the protocol, in layouts.txt; a test holds them against the decoder.
//
//	frame    = length int32, header, body
//	header   = api key int16, version int16, correlation id int32, client id int16-length string or null,
//	           and tagged fields in flexible versions
//	response = length int32, correlation id int32, tagged fields in flexible versions (never for ApiVersions), body
package wire
