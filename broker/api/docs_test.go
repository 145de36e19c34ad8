package api

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

//go:generate go test -run TestDocs . -args -update

var update = flag.Bool("update", false, "write docs/api.md anew")

// TestDocs holds the page of APIs against the table.
func TestDocs(t *testing.T) {
	const name = "../../docs/api.md"
	var b strings.Builder
	b.WriteString("# Kafka APIs\n\nThis page is made from the table of handlers; `go generate ./broker/api` writes it anew. What is not in it is not advertised in ApiVersions, and a client that sends it is disconnected, as Apache Kafka does with what it does not know.\n\n| key | API | versions |\n| --- | --- | --- |\n")
	for _, a := range apis {
		fmt.Fprintf(&b, "| %d | %s | %d–%d |\n", a.key, kmsg.NameForKey(int16(a.key)), a.min, a.max)
	}
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Fatalf("%s is not what the table says: run go generate ./broker/api", name)
	}
}

// TestTheTableIsWhatTheLibraryKnows: a version that the decoder does not know cannot be offered.
func TestTheTableIsWhatTheLibraryKnows(t *testing.T) {
	seen := map[kmsg.Key]bool{}
	for _, a := range apis {
		req := kmsg.RequestForKey(int16(a.key))
		if req == nil || a.max > req.MaxVersion() || a.min > a.max || a.advertised > a.min || seen[a.key] {
			t.Errorf("row %+v does not fit (the library knows up to %d)", a, req.MaxVersion())
		}
		seen[a.key] = true
	}
}
