package process_test

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTranscript: the examples say what the page about the protocol shows.
func TestTranscript(t *testing.T) {
	folder := examples(t)
	page, err := os.ReadFile("../../docs/connect-process.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "## A transcript\n")
	if !ok {
		t.Fatal("there is no transcript")
	}
	blocks := strings.Split(rest, "```\n")
	here := t.TempDir()
	sqlite(t, filepath.Join(here, "shop.db"), "CREATE TABLE orders (id INTEGER PRIMARY KEY, text TEXT)", rows(1, 3))
	for i, program := range []string{"sqlite_sink.py", "sqlite_source.py"} {
		cmd := exec.Command(filepath.Join(folder, program))
		cmd.Dir, cmd.Stderr = here, os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		answers := bufio.NewScanner(out)
		for line := range strings.Lines(blocks[2*i+1]) {
			if message, ok := strings.CutPrefix(line, "> "); ok {
				if _, err := in.Write([]byte(message)); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want := strings.TrimSuffix(strings.TrimPrefix(line, "< "), "\n")
			if !answers.Scan() {
				t.Fatalf("%s does not say %s", program, want)
			}
			if begin, cut := strings.CutSuffix(want, "…"); cut {
				if !strings.HasPrefix(answers.Text(), begin) {
					t.Errorf("%s says %s, and on the page is %s", program, answers.Text(), want)
				}
				continue
			}
			var a, b any
			if err := json.Unmarshal([]byte(want), &a); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(answers.Bytes(), &b); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(a, b); diff != "" {
				t.Errorf("%s says %s, and on the page is %s", program, answers.Text(), want)
			}
		}
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		if answers.Scan() {
			t.Errorf("%s says %s, and nothing more is on the page", program, answers.Text())
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", program, err)
		}
	}
}
