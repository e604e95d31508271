package engine

// A Guarantee is what a message survives after its receipt.
type Guarantee uint8

const (
	// Volatile messages are lost when the process that holds them ends.
	Volatile Guarantee = iota
	// ProcessCrash means that the message was passed to the operating system
	// before the receipt. It survives kill -9 of every process, but not a power
	// failure or a crash of the operating system.
	ProcessCrash
	// Replicated means that a majority of the servers held the message, in memory
	// or in the page cache, before the receipt. It survives the loss of a
	// minority of machines, but not a power failure of a majority at once.
	Replicated
	// PowerLoss means that the message was synced to disk before the receipt, on
	// a majority of the servers if there are several.
	PowerLoss
)

// String returns the guarantee as a sentence for operators.
func (g Guarantee) String() string {
	switch g {
	case Volatile:
		return "volatile: acknowledged messages are lost when the engine ends"
	case ProcessCrash:
		return "process crash: acknowledged messages survive kill -9 of every process, not a power failure"
	case Replicated:
		return "replicated: acknowledged messages survive the loss of a minority of servers, not a power failure of all"
	case PowerLoss:
		return "power loss: acknowledged messages are synced to disk first"
	}
	return "unknown"
}
