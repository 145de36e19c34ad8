// Package server moves requests and responses between sockets and the handlers.
//
// A connection has two goroutines. The reader takes frames off the socket, lets package wire check and decode them and
// hands them to the Handler, in order. The writer sends responses in the order of the requests, however late a handler
// answers; several requests of a connection may be under way. Records of a fetch go from file to socket without passing
// through this process, where the kernel can do that.
//
// Memory of requests is a budget: over it, readers wait before they take the next frame off their sockets.
package server
