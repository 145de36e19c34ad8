package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/sdk"
)

// policy is what is done about records that fail (errors.*).
type policy struct {
	connector   string
	task        int
	all         bool // errors.tolerance: records that fail are passed over
	retry       time.Duration
	retryFirst  time.Duration
	retryMost   time.Duration
	log         bool
	logMessages bool
	logger      *slog.Logger
	letters     *deadLetters // nil: there are none
	meter       *meter
}

func newPolicy(r *run) *policy {
	v := r.common
	return &policy{
		connector: r.t.spec.Connector, task: r.t.spec.Task, logger: r.logger, meter: &r.t.meter,
		all: strings.EqualFold(v.String("errors.tolerance"), "all"), retry: v.Milliseconds("errors.retry.timeout"),
		retryFirst: retryFirst, retryMost: v.Milliseconds("errors.retry.delay.max.ms"), log: v.Bool("errors.log.enable"), logMessages: v.Bool("errors.log.include.messages"),
	}
}

// retryFirst is how long it takes until something that passes is tried again, as in Kafka.
const retryFirst = 300 * time.Millisecond

// again tries what failed again, if that may help and for as long as the configuration says.
func (p *policy) again(ctx context.Context, err error, do func() error) error {
	until := time.Now().Add(p.retry)
	for tries := 1; err != nil && sdk.CauseOf(err) == sdk.Transient; tries++ {
		wait := backoff(tries, p.retryFirst, max(p.retryMost, p.retryFirst))
		if p.retry >= 0 && time.Now().Add(wait).After(until) {
			return err
		}
		p.meter.retries.Add(1)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		err = do()
	}
	return err
}

// passOver decides about a record that fails. nil: it is passed over, and kept in the dead-letter topic if there is one. raw is the record
// as it is in the topic, of a sink. What passes is no record's fault: nothing is passed over for it.
func (p *policy) passOver(failed error, topic string, raw *kgo.Record) error {
	s := &stageError{stage: stagePut, err: failed}
	errors.As(failed, &s)
	if p.log {
		p.tell(s, topic, raw)
	}
	where := "a record for " + topic
	if raw != nil {
		where = fmt.Sprintf("the record of %s-%d offset %d", raw.Topic, raw.Partition, raw.Offset)
	}
	switch cause := sdk.CauseOf(failed); {
	case cause == sdk.Transient:
		return fmt.Errorf("%s fails in %s: %w", where, s.stage, failed)
	case !p.all:
		return &poison{fmt.Errorf("%s fails in %s: %w; set errors.tolerance to all to pass such records over", where, s.stage, failed)}
	}
	p.meter.skipped.Add(1)
	if p.letters != nil && raw != nil {
		p.letters.send(raw, s)
	}
	return nil
}

// poison marks an error as a record's.
type poison struct{ error }

func (p *poison) Unwrap() error { return p.error }

// causeOf is sdk.CauseOf, for what the runtime knows about errors besides.
func causeOf(err error) sdk.Cause {
	var p *poison
	if errors.As(err, &p) {
		return sdk.Poison
	}
	return sdk.CauseOf(err)
}

func (p *policy) tell(s *stageError, topic string, raw *kgo.Record) {
	text := fmt.Sprintf("Error encountered in task %s-%d. Executing stage '%s' with class '%s'", p.connector, p.task, s.stage, s.class)
	if raw != nil && p.logMessages {
		text += fmt.Sprintf(", where consumed record is {topic='%s', partition=%d, offset=%d, timestamp=%d}", raw.Topic, raw.Partition, raw.Offset, raw.Timestamp.UnixMilli())
	} else if p.logMessages && topic != "" {
		text += fmt.Sprintf(", where the record is for the topic '%s'", topic)
	}
	p.logger.Error(text+".", "error", s.err)
}
