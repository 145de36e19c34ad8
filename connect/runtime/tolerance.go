package runtime

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// Stages in which a record can fail, by Kafka's names.
const (
	stageTransform = "TRANSFORMATION"
	stageKey       = "KEY_CONVERTER"
	stageValue     = "VALUE_CONVERTER"
	stageHeader    = "HEADER_CONVERTER"
	stagePut       = "TASK_PUT"
	stageProduce   = "TASK_PRODUCE"
)

// tolerance is what a connector's options say of records that fail (errors.*, KIP-298).
type tolerance struct {
	all      bool          // errors.tolerance
	retry    time.Duration // errors.retry.timeout; negative: for ever
	delay    time.Duration // errors.retry.delay.max.ms
	log      bool          // errors.log.enable
	messages bool          // errors.log.include.messages
	logger   *slog.Logger
}

func newTolerance(config map[string]string, logger *slog.Logger) tolerance {
	t := tolerance{all: config["errors.tolerance"] == "all", log: config["errors.log.enable"] == "true", messages: config["errors.log.include.messages"] == "true",
		retry: milliseconds(config, "errors.retry.timeout", 0), delay: milliseconds(config, "errors.retry.delay.max.ms", time.Minute), logger: logger}
	return t
}

// milliseconds reads an option that validation has found good.
func milliseconds(config map[string]string, name string, otherwise time.Duration) time.Duration {
	n, err := strconv.ParseInt(config[name], 10, 64)
	if err != nil {
		return otherwise
	}
	return time.Duration(n) * time.Millisecond
}

// failure is a record that failed in a stage.
type failure struct {
	stage string
	class string // what failed
	err   error
}

func (f *failure) Error() string {
	return fmt.Sprintf("Tolerance exceeded in error handler: %s failed in %s: %v", f.stage, f.class, f.err)
}
func (f *failure) Unwrap() error { return f.err }

// attempt does something with a record, and again while it fails with an error that passes, as long as errors.retry.timeout allows.
func (t *tolerance) attempt(ctx context.Context, f func() error) error {
	err := f()
	if err == nil || t.retry == 0 || sdk.CauseOf(err) != sdk.Transient {
		return err
	}
	p := patience{most: t.delay}
	for begun := time.Now(); err != nil && sdk.CauseOf(err) == sdk.Transient && (t.retry < 0 || time.Since(begun) < t.retry); err = f() {
		if waited := p.wait(ctx); waited != nil {
			return waited
		}
	}
	return err
}

// tell logs a record that failed, if that is wanted.
func (t *tolerance) tell(f *failure, r *sdk.Record) {
	if !t.log {
		return
	}
	args := []any{"stage", f.stage, "class", f.class, "error", f.err}
	if t.messages && r != nil {
		args = append(args, "topic", r.From.Topic, "partition", r.From.Partition, "offset", r.Offset)
	}
	t.logger.Error("a record failed", args...)
}
