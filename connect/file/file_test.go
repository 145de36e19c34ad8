package file

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/sdk/kit"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// TestThrough: all lines of a file come through a topic into another file, also with crashes, and also those that are added later.
func TestThrough(t *testing.T) {
	in, out := filepath.Join(t.TempDir(), "in"), filepath.Join(t.TempDir(), "out")
	k := kit.New(t, kit.Topic("lines", 1))
	var want []string
	for i := range 3000 {
		want = append(want, fmt.Sprint("line ", i))
	}
	write(t, in, strings.Join(want[:2000], "\n")+"\n")
	source := map[string]string{"file": in, "topic": "lines", "batch.size": "50"}
	k.Crash(Source{}, source, func() bool { return slices.Contains(k.Values("lines"), want[1999]) })
	write(t, in, strings.Join(want[2000:], "\r\n")+"\r\nhalf a line")
	k.Crash(Source{}, source, func() bool { return slices.Contains(k.Values("lines"), want[2999]) })
	if err := kit.Delivered(want, k.Values("lines")); err != nil {
		t.Error(err)
	}
	sink := map[string]string{"file": out, "topics": "lines"}
	k.Crash(Sink{}, sink, func() bool { return k.Kept(Sink{}, "lines") })
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := kit.Delivered(want, strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(in)
	if err != nil {
		t.Fatal(err)
	}
	wantAt := []sdk.Position{{Partition: map[string]any{"filename": in}, Offset: map[string]any{"position": info.Size() - int64(len("half a line"))}}}
	if diff := cmp.Diff(wantAt, k.Positions(Source{})); diff != "" {
		t.Errorf("positions differ from those of Kafka's connector (-want +got):\n%s", diff)
	}
}

// TestCutShort: a file that ends before where it was read to is told of, and nothing is read from it.
func TestCutShort(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in")
	write(t, in, "one\ntwo\n")
	k := kit.New(t, kit.Topic("lines", 1))
	config := map[string]string{"file": in, "topic": "lines"}
	r := k.Start(Source{}, config)
	k.Await("a position", func() bool { return len(k.Positions(Source{})) == 1 })
	r.Stop()
	if err := os.WriteFile(in, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r = k.Start(Source{}, config)
	cause, text := r.Failure()
	if cause != sdk.Lost || !strings.Contains(text, "has only 2 bytes") {
		t.Errorf("%s: %s", cause, text)
	}
	if got := k.Values("lines"); !slices.Equal(got, []string{"one", "two"}) {
		t.Error(got)
	}
}

// TestValues: what becomes of values that are no text is what Java's toString makes of them.
func TestValues(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	task := Sink{}.NewTask()
	v, _ := sdk.Parse(Sink{}.Options(), map[string]string{"file": out})
	if err := task.Start(t.Context(), nil, v); err != nil {
		t.Fatal(err)
	}
	var records []*sdk.Record
	for _, value := range []any{"a", nil, int64(1), true, map[string]any{"a": "b"}} {
		records = append(records, &sdk.Record{Value: value})
	}
	if err := task.Put(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	if err := task.Stop(); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(out); string(b) != "a\nnull\n1\ntrue\n{a=b}\n" {
		t.Errorf("%q", b)
	}
}

// nowhere is a source context without positions.
type nowhere struct{ sdk.SourceContext }

func (nowhere) Position(context.Context, map[string]any) (map[string]any, error) { return nil, nil }
func (nowhere) Logger() *slog.Logger                                             { return slog.New(slog.DiscardHandler) }

// TestRoot: where a worker has a root for files, connectors get no other ones.
func TestRoot(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	write(t, outside+"/secret", "x\n")
	write(t, root+"/ours", "x\n")
	if err := os.Symlink(outside+"/secret", root+"/link"); err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{
		root + "/ours": true, "ours": true, outside + "/secret": false, root + "/../" + filepath.Base(outside) + "/secret": false, "link": false, "": false, "/etc/passwd": false,
	} {
		config := map[string]string{"topic": "t", sdk.FileRoot: root}
		if name != "" {
			config["file"] = name
		}
		v, _ := sdk.Parse(Source{}.Options(), config)
		task := Source{}.NewTask()
		err := task.Start(t.Context(), nowhere{}, v)
		if ok != (err == nil) || err != nil && sdk.CauseOf(err) != sdk.Configuration {
			t.Errorf("source of %q: %v", name, err)
		}
		if err := task.Stop(); err != nil {
			t.Error(err)
		}
		v, _ = sdk.Parse(Sink{}.Options(), config)
		to := Sink{}.NewTask()
		if err := to.Start(t.Context(), nil, v); ok != (err == nil) || err != nil && sdk.CauseOf(err) != sdk.Configuration {
			t.Errorf("sink of %q: %v", name, err)
		}
		if err := to.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// TestLines: whatever ends lines, and however the text comes in pieces, the lines are the same.
func TestLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOf(rapid.StringMatching(`[a-c]{0,4}`)).Draw(t, "lines")
		var text strings.Builder
		for _, l := range lines {
			text.WriteString(l + rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end"))
		}
		text.WriteString("rest")
		task := &sourceTask{most: rapid.IntRange(1, 5).Draw(t, "most")}
		var got []string
		all := text.String()
		for all != "" {
			n := rapid.IntRange(1, len(all)).Draw(t, "piece")
			task.buf = append(task.buf, all[:n]...)
			all = all[n:]
			for out := task.lines(); len(out) > 0; out = task.lines() {
				for _, r := range out {
					got = append(got, r.Value.(string))
				}
			}
		}
		if !slices.Equal(got, lines) && len(got)+len(lines) > 0 {
			t.Fatalf("%q gave %q", text.String(), got)
		}
		if at := int64(text.Len() - len("rest")); task.at != at {
			t.Fatalf("it is at %d, not %d", task.at, at)
		}
	})
}

// TestCheckPositions: positions that mean nothing are refused.
func TestCheckPositions(t *testing.T) {
	v, _ := sdk.Parse(Source{}.Options(), map[string]string{"file": "f", "topic": "t"})
	file := map[string]any{"filename": "f"}
	for _, test := range []struct {
		p  sdk.Position
		ok bool
	}{
		{sdk.Position{Partition: file, Offset: map[string]any{"position": int64(3)}}, true},
		{sdk.Position{Partition: file}, true},
		{sdk.Position{Partition: file, Offset: map[string]any{"position": int64(-3)}}, false},
		{sdk.Position{Partition: file, Offset: map[string]any{"position": "3"}}, false},
		{sdk.Position{Partition: file, Offset: map[string]any{"at": int64(3)}}, false},
		{sdk.Position{Partition: map[string]any{"file": "f"}, Offset: map[string]any{"position": int64(3)}}, false},
	} {
		if err := (Source{}).CheckPositions(v, []sdk.Position{test.p}); (err == nil) != test.ok {
			t.Errorf("%v: %v", test.p, err)
		}
	}
}
