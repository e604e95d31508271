package jetstream

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lintel.dev/bridge/engine"
)

// The error codes of the server that are handled differently (errors.json of nats-server).
const (
	codeNotAvailable     = 10008 // JSClusterNotAvailErr
	codeResources        = 10023 // JSInsufficientResourcesErr
	codeMemory           = 10028 // JSMemoryResourcesExceededErr
	codeStorage          = 10047 // JSStorageResourcesExceededErr
	codeMessageTooLarge  = 10054 // JSStreamMessageExceedsMaximumErr
	codeWrongLast        = 10071 // JSStreamWrongLastSequenceErrF
	codeStoreFailed      = 10077 // JSStreamStoreFailedF
	codeHeaderTooLarge   = 10097 // JSStreamHeaderExceedsMaximumErr
	codeDuplicatePending = 10158 // JSStreamDuplicateMessageConflict
)

// outcome says what is known of a publish that failed.
type outcome uint8

const (
	refused outcome = iota // not stored, and will not be
	unsent                 // not stored, but a later attempt may succeed
	unknown                // possibly stored
)

// classify returns what err of a publish means, and the error for the caller.
func classify(err error) (outcome, error) {
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api):
		switch api.ErrorCode {
		case codeResources, codeMemory, codeStorage:
			return refused, fmt.Errorf("%w: %s", engine.ErrFull, api.Description)
		case codeStoreFailed:
			if strings.Contains(api.Description, "maximum") {
				return refused, fmt.Errorf("%w: %s", engine.ErrFull, api.Description)
			}
			return unknown, fmt.Errorf("jetstream: store: %w", err)
		case codeMessageTooLarge, codeHeaderTooLarge:
			return refused, fmt.Errorf("%w: %s", engine.ErrTooLarge, api.Description)
		case codeDuplicatePending, codeNotAvailable:
			return unknown, fmt.Errorf("jetstream: publish: %w", err)
		}
		if api.Code == 503 {
			return unknown, fmt.Errorf("jetstream: publish: %w", err)
		}
		return refused, fmt.Errorf("jetstream: publish: %w", err)
	case errors.Is(err, nats.ErrMaxPayload):
		return refused, fmt.Errorf("%w: %w", engine.ErrTooLarge, err)
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, jetstream.ErrJetStreamPublisherClosed):
		return refused, engine.ErrClosed
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrReconnectBufExceeded):
		return unsent, fmt.Errorf("jetstream: publish: %w", err)
	}
	return unknown, fmt.Errorf("jetstream: publish: %w", err)
}
