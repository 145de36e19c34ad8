package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// deleter is what commands that delete things by their names have in common.
type deleter struct {
	kind          string // of thing
	ifExists, yes bool
}

func (d *deleter) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&d.ifExists, "if-exists", false, "succeed if a "+d.kind+" does not exist")
	cmd.Flags().BoolVarP(&d.yes, "yes", "y", false, "do not ask")
}

// confirm asks whether things shall be deleted with what is in them, if there is a terminal to ask on.
func (d *deleter) confirm(ctx context.Context, cmd *cobra.Command, names []string, with string) error {
	if d.yes {
		return nil
	}
	shown := make([]string, len(names))
	for i, name := range names {
		shown[i] = escape(name)
	}
	return confirm(ctx, cmd, fmt.Sprintf("Delete %s with all %s: %s?", plural(int64(len(names)), d.kind), with, strings.Join(shown, ", ")), "nothing was deleted")
}

// confirm asks a question if there is a terminal to ask on. Any other answer than yes is an error, which says what was not done.
func confirm(ctx context.Context, cmd *cobra.Command, question, otherwise string) error {
	if !isTerminal(cmd.InOrStdin()) {
		return nil
	}
	cmd.PrintErrf("%s [y/N] ", question)
	answered := make(chan string, 1)
	go func() {
		answer, _ := bufio.NewReader(io.LimitReader(cmd.InOrStdin(), 1<<10)).ReadString('\n')
		answered <- answer
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case answer := <-answered:
		if answer := strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
			return errors.New(otherwise)
		}
		return nil
	}
}

// print tells of each thing whether it was deleted. outcome gives the error of one, and whether that is because it does not exist.
func (d *deleter) print(p *printer, names []string, outcome func(name string) (absent bool, err error)) error {
	deleted := []string{}
	var failed []error
	say := func(format, name string) {
		if !p.json {
			failed = append(failed, p.line(format, d.kind, escape(name)))
		}
	}
	for _, name := range names {
		switch absent, err := outcome(name); {
		case absent && d.ifExists:
			say("There is no %s %s.", name)
		case err != nil:
			failed = append(failed, err)
		default:
			deleted = append(deleted, name)
			say("Deleted %s %s.", name)
		}
	}
	if p.json {
		failed = append(failed, p.document(deleted))
	}
	return joined(failed...)
}

// unanswered says that the cluster's answer does not speak of a thing.
func (d *deleter) unanswered(name string) error {
	return fmt.Errorf("the cluster did not say whether it deleted %s %q", d.kind, name)
}
