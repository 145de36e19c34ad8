package inbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/sdk/kit"
)

// TestCrash: each file arrives, in the order of names, however often the connector is crashed.
func TestCrash(t *testing.T) {
	folder := t.TempDir()
	var want []string
	for i := range 2000 {
		text := fmt.Sprint("letter ", i)
		want = append(want, text)
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%06d.txt", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k := kit.New(t, kit.Topic("letters", 1))
	k.Crash(Inbox{}, map[string]string{"folder": folder, "topic": "letters"}, func() bool {
		at := k.Positions(Inbox{})
		return len(at) == 1 && at[0].Offset["file"] == "001999.txt"
	})
	if err := kit.Delivered(want, k.Values("letters")); err != nil {
		t.Error(err)
	}
}

// TestNoFolder: it is told what is wrong.
func TestNoFolder(t *testing.T) {
	k := kit.New(t)
	cause, text := k.Start(Inbox{}, map[string]string{"folder": "/no/such/folder", "topic": "letters"}).Failure()
	if cause != sdk.Configuration {
		t.Errorf("%s: %s", cause, text)
	}
}

// TestGuide: the guide shows this connector as it is.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile("../../docs/connect-sdk.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("inbox.go")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(code), "\ntype Inbox struct")
	if !strings.Contains(string(guide), "type Inbox struct"+shown) {
		t.Error("the code in docs/connect-sdk.md is not that of inbox.go")
	}
}
