package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// questions asks for options on a terminal.
type questions struct {
	cmd   *cobra.Command
	in    io.Reader
	lines *bufio.Reader
	told  bool            // how to answer
	asked []connectOption // but for the name
}

// newQuestions gives nil if there is no terminal to ask on.
func newQuestions(cmd *cobra.Command) *questions {
	in := cmd.InOrStdin()
	if !isTerminal(in) {
		return nil
	}
	return &questions{cmd: cmd, in: in, lines: bufio.NewReader(in)}
}

// options asks for those that are missing: the topics of a sink, what else has to be set, and of the connector's own the important ones.
func (q *questions) options(ctx context.Context, options []connectOption, config map[string]string) error {
	if q == nil {
		return nil
	}
	var topics, others []connectOption
	for _, o := range options {
		own := o.Group == nil || *o.Group != "Common"
		_, set := config[o.Name]
		switch {
		case set, strings.HasPrefix(o.Doc, "Not supported"), strings.HasPrefix(o.Doc, "Has no effect"):
		case !own && o.Name == "topics" && config["topics.regex"] == "":
			o.Required = true
			topics = append(topics, o)
		case o.Required, own && o.Importance == "HIGH":
			others = append(others, o)
		}
	}
	q.asked = append(topics, others...)
	for _, o := range q.asked {
		if err := q.option(ctx, o, config); err != nil {
			return err
		}
	}
	return nil
}

// option asks for one, again if it has to be given and is not.
func (q *questions) option(ctx context.Context, o connectOption, config map[string]string) error {
	fallback, set := config[o.Name]
	if o.Type == "PASSWORD" {
		fallback = ""
	}
	if !set && o.Default != nil {
		fallback = *o.Default
	}
	about := oneLine(o.Doc)
	if len(about) > longQuestion {
		about, _, _ = strings.Cut(about, ". ")
	}
	for {
		answer, err := q.ask(ctx, about, o.Name, fallback, o.Type == "PASSWORD")
		if err != nil {
			return err
		}
		if answer != "" && (set || answer != fallback) {
			config[o.Name] = answer
		}
		if answer != "" || set || !o.Required {
			return nil
		}
		about = "It has to be given."
	}
}

// longQuestion is from how many bytes on only the first sentence about an option is shown.
const longQuestion = 200

// correct tells what is wrong, and asks for those options again; if they stay as they are, for all. changed is false if nothing was answered.
func (q *questions) correct(ctx context.Context, options []connectOption, faults []connectFault, config map[string]string) (changed bool, err error) {
	for i, f := range faults {
		before := func(g connectFault) bool { return g.Option == f.Option || g.Error == f.Error } // one of two that exclude each other will do
		at := slices.IndexFunc(options, func(o connectOption) bool { return o.Name == f.Option })
		if at < 0 || slices.ContainsFunc(faults[:i], before) {
			continue
		}
		secret := options[at].Type == "PASSWORD"
		was := config[f.Option]
		if secret {
			was = ""
		}
		answer, err := q.ask(ctx, "This is wrong: "+oneLine(f.Error), f.Option, was, secret)
		if err != nil {
			return false, err
		}
		if answer != "" && answer != config[f.Option] {
			config[f.Option], changed = answer, true
		}
	}
	if changed {
		return true, nil
	}
	before := maps.Clone(config)
	for _, o := range q.asked {
		if err := q.option(ctx, o, config); err != nil {
			return false, err
		}
	}
	return !maps.Equal(before, config), nil
}

// ask asks for an option, and gives what the terminal's user answers: fallback if that is nothing.
func (q *questions) ask(ctx context.Context, about, name, fallback string, secret bool) (string, error) {
	if !q.told {
		q.told = true
		q.cmd.PrintErrf("Return alone takes what is in brackets, or leaves an option out; Ctrl-C ends it, and nothing is made.\n")
	}
	shown := ""
	if fallback != "" {
		shown = " [" + escape(fallback) + "]"
	}
	q.cmd.PrintErrf("%s\n  %s%s: ", about, name, shown)
	answer, err := q.read(ctx, secret)
	if answer == "" {
		answer = fallback
	}
	return answer, err
}

// errUnanswered is the end of what the terminal gives (Ctrl-D).
var errUnanswered = errors.New("there are no more answers, and nothing was made")

// read reads a line, without showing it if it is secret.
func (q *questions) read(ctx context.Context, secret bool) (string, error) {
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	hide := func() {}
	f, ok := q.in.(*os.File)
	hidden := ok && secret && q.lines.Buffered() == 0 // what was pasted has been shown already
	if state, err := term.GetState(fdOf(f)); hidden && err == nil {
		hide = func() { _ = term.Restore(fdOf(f), state) } // ReadPassword does not end with ctx
	}
	go func() {
		if hidden {
			b, err := term.ReadPassword(fdOf(f))
			got <- answer{string(b), err}
			return
		}
		text, err := q.lines.ReadString('\n')
		got <- answer{strings.TrimSpace(text), err}
	}()
	select {
	case <-ctx.Done():
		hide()
		fmt.Fprintln(q.cmd.ErrOrStderr())
		return "", ctx.Err()
	case a := <-got:
		if hidden {
			fmt.Fprintln(q.cmd.ErrOrStderr())
		}
		if errors.Is(a.err, io.EOF) {
			fmt.Fprintln(q.cmd.ErrOrStderr())
			a.err = errUnanswered
		}
		return a.text, a.err
	}
}

func fdOf(f *os.File) int {
	if f == nil {
		return -1
	}
	return int(f.Fd())
}
