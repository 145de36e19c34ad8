// Package bugs lists bugs that are planted in the code, so that the simulator can be seen to find them.
//
// In a usual build all of them are constants that are false, and the compiler leaves their code out. With the build tag bugs
// they are variables, and the simulator turns on one after the other:
//
//	go test -tags bugs ./sim -run Bugs
package bugs
