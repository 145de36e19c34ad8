package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// progressEvery is how often progress is shown.
const progressEvery = 200 * time.Millisecond

// progressLine shows on a terminal how far long work is.
type progressLine struct {
	w       io.Writer // nil: there is no terminal
	last    time.Time // when it was shown, or the work began
	visible bool
}

// newProgressLine gives the line of a command whose standard error is a terminal; of another one it shows nothing.
func newProgressLine(cmd *cobra.Command) *progressLine {
	l := &progressLine{last: time.Now()}
	if w := cmd.ErrOrStderr(); isTerminal(w) {
		l.w = w
	}
	return l
}

// show shows a text, unless another was shown just before.
func (l *progressLine) show(now time.Time, text func() string) {
	if l.w == nil || now.Sub(l.last) < progressEvery {
		return
	}
	l.last, l.visible = now, true
	fmt.Fprintf(l.w, "\r\x1b[K%s", text())
}

// clear takes the line away, before something else is written.
func (l *progressLine) clear() {
	if l.visible {
		fmt.Fprint(l.w, "\r\x1b[K")
		l.visible = false
	}
}
