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

// described gives an error's text in Kafka's words; tools show it.
func described(e *kerr.Error) *string {
	text, ok := inKafkasWords[e]
	if !ok {
		text = e.Description
	}
	return &text
}

// inKafkasWords are the texts of errors whose description in the library is not Kafka's.
var inKafkasWords = map[*kerr.Error]string{
	kerr.NotLeaderForPartition:       "For requests intended only for the leader, this error indicates that the broker is not the current leader. For requests intended for any replica, this error indicates that the broker is not a replica of the topic partition.",
	kerr.MessageTooLarge:             "The request included a message larger than the max message size the server will accept.",
	kerr.InvalidGroupID:              "The configured groupId is invalid.",
	kerr.InvalidProducerEpoch:        "Producer attempted to produce with an old epoch.",
	kerr.FencedLeaderEpoch:           "The leader epoch in the request is older than the epoch on the broker.",
	kerr.UnknownLeaderEpoch:          "The leader epoch in the request is newer than the epoch on the broker.",
	kerr.PreferredLeaderNotAvailable: "The preferred leader was not available.",
	kerr.EligibleLeadersNotAvailable: "Eligible topic partition leaders are not available.",
	kerr.ElectionNotNeeded:           "Leader election not needed for topic partition.",
	kerr.InvalidRecord:               "This record has failed the validation on broker and hence will be rejected.",
}

// coordinatorError maps what a coordinator's runtime answers when its machine cannot.
func coordinatorError(err error) *kerr.Error {
	switch {
	case errors.Is(err, coordinator.ErrNotLeader), errors.Is(err, coordinator.ErrLost):
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
