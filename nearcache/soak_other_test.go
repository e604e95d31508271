//go:build !unix

package nearcache

// soakProcess: TestSoak needs signals.
func soakProcess() bool { return false }
