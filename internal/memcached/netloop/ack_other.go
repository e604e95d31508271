//go:build !linux

package netloop

// acknowledge does nothing: there is no such option.
func acknowledge(int) {}
