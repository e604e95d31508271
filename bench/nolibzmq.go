//go:build !libzmq

package bench

var cgoSockets []socketMaker
