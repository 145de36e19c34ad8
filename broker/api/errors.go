package api

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/weir/weir/coordinator"
)

// kafkaError finds Kafka's error in a chain; nil: there is none.
func kafkaError(err error) *kerr.Error {
	var ke *kerr.Error
	if errors.As(err, &ke) {
		return ke
	}
	return coordinatorError(err)
}

// coordinatorError maps what a coordinator's runtime answers when its machine cannot.
func coordinatorError(err error) *kerr.Error {
	switch {
	case errors.Is(err, coordinator.ErrNotLeader):
		return kerr.NotCoordinator
	case errors.Is(err, coordinator.ErrLoading):
		return kerr.CoordinatorLoadInProgress
	case errors.Is(err, coordinator.ErrUnavailable):
		return kerr.CoordinatorNotAvailable
	}
	return nil
}

// controllerError maps the same for the controller.
func controllerError(err error) *kerr.Error {
	if coordinatorError(err) != nil {
		return kerr.NotController
	}
	if ke := kafkaError(err); ke != nil {
		return ke
	}
	return kerr.UnknownServerError
}
