package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/internal/nearest"
)

// errNoAnswer is what is known of something that an answer of the cluster does not speak of.
var errNoAnswer = errors.New("the cluster did not say whether it was done")

// usageError says that a command was used wrongly.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// failures are several errors, told on one line.
type failures []error

func (f failures) Unwrap() []error { return f }

func (f failures) Error() string {
	text := make([]string, len(f))
	for i, err := range f {
		text[i] = err.Error()
	}
	return strings.Join(text, "; ")
}

// joined makes one error of those that are not nil.
func joined(errs ...error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return failures(errs)
}

// someOf makes one error of several, of which it tells the first: there may be thousands for one cause.
func someOf(errs []error) error {
	const most = 3
	if len(errs) > most {
		errs = append(errs[:most:most], fmt.Errorf("and %d more", len(errs)-most))
	}
	return joined(errs...)
}

// explain puts an error of the client library in words that say what to do next.
func (o *options) explain(err error) error {
	if err == nil {
		return nil
	}
	if several, ok := err.(failures); ok {
		explained := make(failures, len(several))
		for i, err := range several {
			explained[i] = o.explain(err)
		}
		return explained
	}
	err = oneShard(err)
	var usage *usageError
	var dial *net.OpError
	var dns *net.DNSError
	var eof *kgo.ErrFirstReadEOF
	var code *kerr.Error
	switch {
	case errors.As(err, &usage), errors.Is(err, syscall.EPIPE):
		return err
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	case errors.As(err, &dns):
		return fmt.Errorf("host %q is not known: check --bootstrap-server", dns.Name)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("no answer from the cluster at %s within %s: --timeout waits longer", o.bootstrap, o.timeout)
	case errors.As(err, &dial) && dial.Op == "dial":
		return o.explainDial(dial)
	case errors.Is(err, kgo.ErrRecordTimeout):
		return fmt.Errorf("the cluster at %s did not take the records within %s: --timeout waits longer", o.bootstrap, o.timeout)
	case errors.As(err, &eof):
		return fmt.Errorf("the server at %s closed the connection: is it a Kafka broker, without TLS and SASL?", o.bootstrap)
	case errors.As(err, &code):
		return explainCode(err, code)
	case strings.Contains(err.Error(), "broker is too old"): // the client library's error is its own
		return fmt.Errorf("the cluster at %s cannot do that: its release knows no such request", o.bootstrap)
	case strings.Contains(err.Error(), "response size"): // the client library has no type for it
		return fmt.Errorf("the server at %s does not speak Kafka's protocol: is it the right port, without TLS?", o.bootstrap)
	}
	return err
}

// oneShard gives the error of one broker, if several were asked.
func oneShard(err error) error {
	var shards *kadm.ShardErrors
	if errors.As(err, &shards) && len(shards.Errs) > 0 {
		return shards.Errs[0].Err
	}
	return err
}

// brokerCode gives the error code that a broker answered with; nil: the error is no answer.
func brokerCode(err error) *kerr.Error {
	var code *kerr.Error
	errors.As(oneShard(err), &code)
	return code
}

func (o *options) explainDial(dial *net.OpError) error {
	address := "?"
	if dial.Addr != nil {
		address = dial.Addr.String()
	}
	if !o.isSeed(dial.Addr) {
		return fmt.Errorf("the cluster says that one of its brokers is at %s, but no broker answers there: check its advertised.listeners", address)
	}
	return fmt.Errorf("no broker answers at %s: is it running? Start one with `weir serve`", o.bootstrap)
}

// isSeed tells whether an address that was dialed may be one of --bootstrap-server, whose hosts may be names.
func (o *options) isSeed(address net.Addr) bool {
	tcp, ok := address.(*net.TCPAddr)
	return !ok || slices.ContainsFunc(o.seeds(), func(seed string) bool {
		_, port, err := net.SplitHostPort(seed)
		if err != nil {
			port = "9092"
		}
		return port == fmt.Sprint(tcp.Port)
	})
}

// explainCode says what a broker's error code means, with what was being done if the error tells.
func explainCode(err error, code *kerr.Error) error {
	what, _, found := strings.Cut(err.Error(), code.Error())
	if !found {
		what = ""
	}
	text := strings.TrimSuffix(code.Description, ".")
	return fmt.Errorf("%s%s (%s)", what, text, code.Message)
}

// brokerError is the broker's own message about an error, or if it sent none what the code means.
func brokerError(err error, message string) error {
	if err != nil && message != "" {
		return errors.New(message)
	}
	return err
}

// unknown says that something is not there, and what there is with a similar name.
func unknown(kind, name string, there []string) error {
	if near, ok := nearest.Name(name, there); ok {
		return fmt.Errorf("%s %q does not exist: did you mean %q?", kind, name, near)
	}
	return fmt.Errorf("%s %q does not exist: `weir %s list` shows those that do", kind, name, kind)
}
