package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// withLines makes a terminal hand on lines, and take Ctrl-D for the end, as they usually do.
func (tt *terminal) withLines(t *testing.T) {
	t.Helper()
	control(t, tt.screen, func(fd int) error {
		state, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		state.Lflag |= unix.ICANON
		return unix.IoctlSetTermios(fd, unix.TCSETS, state)
	})
}

// TestConnectNew answers on a terminal what `connect new` asks.
func TestConnectNew(t *testing.T) {
	url := connectWorker(t)
	t.Chdir(t.TempDir())
	if got := weir(t.Context(), strings.NewReader(""), "connect", "new", "IdleSource", "--name", "there", "--set", "topic=t", "--url", url); got.code != 0 {
		t.Fatal(got.err)
	}
	for _, test := range []struct {
		name, typed string
		args        []string
		code        int
		asked       []string // in this order
		config      []string
	}{
		{name: "plain", typed: "first\nt\nhush\n", asked: []string{"Return alone", "name [IdleSource]: ", "The topic. It is not written.", "topic: ", "key [none]: ", "first.json", "first is created"},
			config: []string{`"topic": "t"`, `"key": "hush"`}},
		{name: "what is needed", typed: "second\n\n\nt\n\n", asked: []string{"topic: ", "It has to be given.", "topic: ", "It has to be given.", "topic: ", "second is created"}, config: []string{`"topic": "t"`}},
		{name: "the name is taken", typed: "there\nthird\nt\n\n", asked: []string{"There is a connector there already", "name [IdleSource]: ", "third is created"}},
		{name: "wrong", typed: "fourth\nforbidden\n\nt\n", asked: []string{"This is wrong: the topic forbidden is not for you", "topic [forbidden]: ", "fourth is created"}, config: []string{`"topic": "t"`}},
		{name: "wrong, and all again", typed: "fifth\nforbidden\n\n\nt\nhush\n", asked: []string{"topic [forbidden]: ", "The topic.", "topic [forbidden]: ", "key [none]: ", "fifth is created"},
			config: []string{`"topic": "t"`, `"key": "hush"`}},
		{name: "wrong for good", typed: "sixth\nforbidden\n\n\n\n\n", code: 1, asked: []string{"topic [forbidden]: ", "key [none]: ", "the topic forbidden is not for you"}},
		{name: "the end", typed: "seventh\n\x04", code: 1, asked: []string{"there are no more answers, and nothing was made"}},
		{name: "nothing to ask", typed: "", args: []string{"--name", "eighth", "--set", "topic=t", "--set", "key=k"}, asked: []string{"eighth is created"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"connect", "new", "IdleSource", "--url", url}, test.args...)
			tt := newTerminal(t)
			tt.withLines(t)
			tt.typed(t, test.typed)
			code := tt.weir(args...)
			if _, err := tt.screen.WriteString("<end>"); err != nil {
				t.Fatal(err)
			}
			tt.shown.until(t, "<end>")
			all := tt.shown.String()
			rest := all
			if code != test.code {
				t.Fatalf("exit code %d\n%s", code, all)
			}
			for _, want := range test.asked {
				at := strings.Index(rest, want)
				if at < 0 {
					t.Fatalf("%q is missing in\n%s\nwhere this is left:\n%s", want, all, rest)
				}
				rest = rest[at+len(want):]
			}
			if strings.Contains(all, "hush") {
				t.Error("a secret is shown")
			}
			name, _, _ := strings.Cut(test.typed, "\n")
			b, err := os.ReadFile(filepath.Join(".", name+".json"))
			if test.code != 0 && !os.IsNotExist(err) {
				t.Errorf("%s was written: %v", b, err)
			}
			for _, want := range test.config {
				if !strings.Contains(string(b), want) {
					t.Errorf("%s is not in\n%s", want, b)
				}
			}
		})
	}
}
