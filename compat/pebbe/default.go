package zmq4

// The functions of the default context.

// NewSocket is Context.NewSocket of the default context.
func NewSocket(t Type) (soc *Socket, err error) { return defaultContext.NewSocket(t) }

// Term is Context.Term of the default context.
func Term() error { return defaultContext.Term() }

// GetIoThreads is Context.GetIoThreads of the default context.
func GetIoThreads() (int, error) { return defaultContext.GetIoThreads() }

// GetMaxSockets is Context.GetMaxSockets of the default context.
func GetMaxSockets() (int, error) { return defaultContext.GetMaxSockets() }

// GetMaxMsgsz is Context.GetMaxMsgsz of the default context.
func GetMaxMsgsz() (int, error) { return defaultContext.GetMaxMsgsz() }

// GetIpv6 is Context.GetIpv6 of the default context.
func GetIpv6() (bool, error) { return defaultContext.GetIpv6() }

// GetBlocky is Context.GetBlocky of the default context.
func GetBlocky() (bool, error) { return defaultContext.GetBlocky() }

// GetRetryAfterEINTR is Context.GetRetryAfterEINTR of the default context.
func GetRetryAfterEINTR() bool { return defaultContext.GetRetryAfterEINTR() }

// SetIoThreads is Context.SetIoThreads of the default context.
func SetIoThreads(n int) error { return defaultContext.SetIoThreads(n) }

// SetMaxSockets is Context.SetMaxSockets of the default context.
func SetMaxSockets(n int) error { return defaultContext.SetMaxSockets(n) }

// SetMaxMsgsz is Context.SetMaxMsgsz of the default context.
func SetMaxMsgsz(n int) error { return defaultContext.SetMaxMsgsz(n) }

// SetIpv6 is Context.SetIpv6 of the default context.
func SetIpv6(i bool) error { return defaultContext.SetIpv6(i) }

// SetBlocky is Context.SetBlocky of the default context.
func SetBlocky(i bool) error { return defaultContext.SetBlocky(i) }

// SetThreadSchedPolicy is Context.SetThreadSchedPolicy of the default context.
func SetThreadSchedPolicy(n int) error { return defaultContext.SetThreadSchedPolicy(n) }

// SetThreadPriority is Context.SetThreadPriority of the default context.
func SetThreadPriority(n int) error { return defaultContext.SetThreadPriority(n) }

// SetRetryAfterEINTR is Context.SetRetryAfterEINTR of the default context.
func SetRetryAfterEINTR(retry bool) { defaultContext.SetRetryAfterEINTR(retry) }
