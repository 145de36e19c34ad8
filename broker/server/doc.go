// Package server moves requests and responses between sockets and the handlers.
//
// A connection has one goroutine. It takes frames off the socket, lets package wire check and decode them and hands them
// to the Handler, in order. Answers go out in the order of the requests, however late a handler answers; several requests
// of a connection may be under way. Whoever answers the oldest one sends it: see output. Records of a fetch go from file
// to socket without passing through this process, where the kernel can do that.
//
// Memory of requests is a budget: over it, readers wait before they take the next frame off their sockets.
package server
