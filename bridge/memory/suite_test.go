package memory_test

import (
	"testing"

	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/enginetest"
	"lintel.dev/bridge/memory"
)

func TestEngine(t *testing.T) {
	enginetest.Run(t, enginetest.Suite{
		Open:      func(enginetest.TB) engine.Engine { return memory.New(memory.Options{}) },
		Simulated: true,
	})
}
