package cli

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestConsumeFilters(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 2)
	client := c.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for i, r := range []*kgo.Record{
		{Key: []byte("anna"), Value: []byte("2 candles"), Headers: []kgo.RecordHeader{{Key: "source", Value: []byte("web")}, {Key: "trace", Value: []byte("4f1")}}},
		{Key: []byte("bert"), Value: []byte("1 kettle"), Headers: []kgo.RecordHeader{{Key: "source", Value: []byte("app")}, {Key: "source", Value: []byte("web")}}},
		{Key: []byte("anna b"), Value: []byte("1 candle")},
		{Key: []byte(""), Value: []byte("/x/"), Headers: []kgo.RecordHeader{{Key: "empty"}}},
		{},
	} {
		r.Topic, r.Partition = "orders", int32(i%2)
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for i, test := range []struct {
		args []string
		want string
	}{
		{nil, "00 01 02 10 11"},
		{[]string{"--key", "anna"}, "00"},
		{[]string{"--key", "/anna/"}, "00 01"},
		{[]string{"--key", "/^anna$/"}, "00"},
		{[]string{"--key", ""}, "11"},
		{[]string{"--key", "//"}, "00 01 10 11"},
		{[]string{"--value", "2 candles"}, "00"},
		{[]string{"--value", "/candles?/"}, "00 01"},
		{[]string{"--value", "/./"}, "00 01 10 11"},
		{[]string{"--value", "/^/x/$/"}, "11"},
		{[]string{"--key", "/anna/", "--value", "/^1/"}, "01"},
		{[]string{"--header", "source"}, "00 10"},
		{[]string{"--header", "source=web"}, "00 10"},
		{[]string{"--header", "source=/^a/"}, "10"},
		{[]string{"--header", "source=web", "--header", "trace=/^4f/"}, "00"},
		{[]string{"--header", "empty"}, "11"},
		{[]string{"--header", "empty="}, ""},
		{[]string{"--header", "/source/"}, ""},
		{[]string{"--value", "/1/", "-p", "0"}, "01"},
		{[]string{"--value", "/1/", "-p", "0", "--from", "2"}, ""},
	} {
		args := append([]string{"consume", "orders", "--format", `%p%o `}, test.args...)
		for _, more := range [][]string{nil, {"--group", fmt.Sprint("g", i)}} {
			if more != nil && strings.Contains(strings.Join(test.args, " "), "-p ") {
				continue
			}
			got := c.weir(append(args, more...)...)
			all := strings.Fields(got.out)
			slices.Sort(all)
			if got.code != 0 || got.err != "" || strings.Join(all, " ") != test.want {
				t.Errorf("%q: %+v, want %s", append(test.args, more...), got, test.want)
			}
		}
	}
}

// What is asked for with --max is counted among those that match, and a group goes on after the last one printed.
func TestConsumeFilterAndMax(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 1)
	for range 3 {
		c.write("orders", "0 k a", "0 k b", "0 k c")
	}
	consume := []string{"consume", "orders", "--value", "b", "--format", `%o `, "--group", "g", "--max", "2"}
	expect(t, c.weir(consume...), 0, "1 4 ", "")
	expect(t, c.weir(consume...), 0, "7 ", "")
	expect(t, c.weir(consume...), 0, "", "")
	expect(t, c.weir("consume", "orders", "--value", "b", "-f", "--max", "1", "--format", `%o\n`), 0, "1\n", "")
}
