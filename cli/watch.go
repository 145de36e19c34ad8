package cli

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// intervalDefault is how often a command looks at what changes.
const intervalDefault = 2 * time.Second

// watching is what commands have in common that can show their result again and again.
type watching struct {
	on    bool
	every time.Duration
}

func (w *watching) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&w.on, "watch", "w", false, "show it again and again, until Ctrl-C")
	cmd.Flags().DurationVar(&w.every, "interval", intervalDefault, "how `long` to wait between two looks with --watch")
}

// watch lets show ask the cluster and print the answer, once or again and again. A cluster that does not answer for a while ends
// only the first.
func (o *options) watch(ctx context.Context, cmd *cobra.Command, w watching, show func(context.Context, *client, *printer) error) error {
	return w.repeat(ctx, cmd, o.printer(cmd), func(p *printer) error {
		return o.explain(o.ask(ctx, func(ctx context.Context, c *client) error { return show(ctx, c, p) }))
	})
}

// repeat calls show once or, with --watch, until the command is interrupted, which is then its normal end. On a terminal what is
// shown replaces what was before; as JSON each is one line.
func (w watching) repeat(ctx context.Context, cmd *cobra.Command, p *printer, show func(*printer) error) error {
	if w.every <= 0 {
		return usagef("--interval must be more than 0")
	}
	if !w.on {
		return show(p)
	}
	p.compact = true
	for ctx.Err() == nil {
		var b bytes.Buffer
		frame := *p
		frame.w = &b
		failed := show(&frame)
		if ctx.Err() != nil {
			break
		}
		if err := w.draw(cmd, p, b.Bytes(), failed); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(w.every):
		}
	}
	return nil
}

// draw shows one answer, or why there is none.
func (w watching) draw(cmd *cobra.Command, p *printer, frame []byte, failed error) error {
	now := time.Now().Format(time.TimeOnly)
	if failed != nil {
		failed = fmt.Errorf("%s %w", now, failed)
	}
	if !p.terminal {
		if failed != nil {
			cmd.PrintErrln("weir: " + oneLine(failed.Error()))
			return nil
		}
		if !p.json {
			frame = append([]byte(now+"\n"), append(frame, '\n')...)
		}
		_, err := p.w.Write(frame)
		return err
	}
	head := fmt.Sprintf("%s, every %s until Ctrl-C\n\n", now, w.every)
	if failed != nil {
		frame = []byte(oneLine(failed.Error()) + "\n")
	}
	_, err := p.w.Write(onScreen(append([]byte(head), frame...), heightOf(p.w)))
	return err
}

// onScreen gives what puts a text in place of what a terminal shows: line by line, so that nothing flickers, and no more lines
// than the terminal has.
func onScreen(text []byte, height int) []byte {
	lines := bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
	if len(lines) >= height {
		lines = append(lines[:max(0, height-2)], []byte("..."))
	}
	out := []byte("\x1b[H")
	for _, line := range lines {
		out = append(append(out, line...), "\x1b[K\n"...)
	}
	return append(out, "\x1b[J"...)
}

// heightOf gives how many lines a terminal has.
func heightOf(stream any) int {
	if f, ok := stream.(interface{ Fd() uintptr }); ok {
		if _, height, err := term.GetSize(int(f.Fd())); err == nil && height > 0 {
			return height
		}
	}
	return 1 << 20
}
