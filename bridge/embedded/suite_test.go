package embedded_test

import (
	"testing"

	"lintel.dev/bridge/embedded"
	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/enginetest"
	"lintel.dev/bridge/jetstream"
)

// start starts a server that ends with the test.
func start(t testing.TB, cfg embedded.Config) *embedded.Server {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	s, err := embedded.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestEngine runs the contract on file storage, synced before each receipt.
func TestEngine(t *testing.T) {
	t.Parallel()
	s := start(t, embedded.Config{})
	enginetest.Run(t, enginetest.Suite{Open: func(t enginetest.TB) engine.Engine { return open(t, s, jetstream.Config{}) }})
}

// TestEngineMemory runs the contract on memory storage.
func TestEngineMemory(t *testing.T) {
	t.Parallel()
	s := start(t, embedded.Config{})
	enginetest.Run(t, enginetest.Suite{Open: func(t enginetest.TB) engine.Engine { return open(t, s, jetstream.Config{Memory: true}) }})
}

func open(t enginetest.TB, s *embedded.Server, cfg jetstream.Config) engine.Engine {
	t.Helper()
	e, err := s.Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return e
}
