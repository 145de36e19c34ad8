package cli

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestUsageErrors(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"topc", `there is no command "weir topc": did you mean "weir topic"?`},
		{"topic ls", `there is no command "weir topic ls": did you mean "weir topic list"?`},
		{"topic create", "weir topic create needs a NAME"},
		{"topic create a --partitions 0", "--partitions must be at least 1"},
		{"topic create a --replication-factor -2", "--replication-factor must be at least 1"},
		{"topic create a --config x", `--config "x" is not key=value`},
		{"topic create a --partitions many", `invalid argument "many" for "--partitions" flag: strconv.ParseInt: parsing "many": invalid syntax`},
		{"topic list a", `weir topic list takes no arguments, but got "a"`},
		{"topic list --bogus", "unknown flag: --bogus"},
		{"topic list -o xml", `invalid argument "xml" for "-o, --output" flag: use table or json`},
		{"topic list --timeout 0s", "--timeout must be more than 0"},
		{"topic list -b ,", "--bootstrap-server names no broker: give it as host:port"},
		{"produce", "weir produce needs a TOPIC"},
		{"produce a b", "weir produce takes one TOPIC, but got 2"},
		{"produce a --acks 2", `--acks "2": use all, 1 or 0`},
		{"produce a --compression rar", `--compression "rar": use none, gzip, snappy, lz4 or zstd`},
		{"produce a --header x", `--header "x" is not key=value`},
		{"produce a --partition -2", "--partition must be at least 0"},
		{"produce a --format %z", "--format: unknown percent escape sequence \"z\""},
		{"produce a --format %v --key-separator x", "--key-separator and --format exclude each other"},
		{"produce a --json --format %v", "--format and --json exclude each other"},
		{"produce a --rate 0", "--rate must be more than 0"},
		{"produce a --rate NaN", "--rate must be more than 0"},
		{"consume a --key /(/", "--key \"/(/\": error parsing regexp: missing closing ): `(`"},
		{"consume a --header =x", `--header "=x" names no header: use name or name=value`},
		{"consume", "weir consume needs a TOPIC"},
		{"consume a --from yesterday", `"yesterday" is not a position: use start, end, an offset, -10, 2026-11-24T08:30:00Z, 2026-11-24 or -5m`},
		{"consume a --follow --until-end", "--follow never stops at an end: leave out --until and --until-end"},
		{"consume a --until 3 --until-end", "--until and --until-end exclude each other"},
		{"consume a --group g -p 1", "--group and --partition exclude each other: a group's partitions are assigned"},
		{"consume a --max 0", "--max must be at least 1"},
		{"consume a -p -1", "--partition must be at least 0"},
		{"consume a --isolation-level none", `--isolation-level "none": use read_uncommitted or read_committed`},
		{"consume a -o json --format %v", "--format and --output json exclude each other"},
		{"consume a --format %z", "--format: unknown escape sequence %z"},
		{"log dump", "weir log dump needs a FILE"},
		{"log verify", "weir log verify needs a PATH"},
		{"topic create a --config x=1 --config x=2", `configuration "x" is given twice`},
		{"topic alter", "weir topic alter needs a NAME"},
		{"topic alter a", "say what to change: --partitions, --set or --unset"},
		{"topic alter a --partitions 0", "--partitions must be at least 1"},
		{"topic alter a --set x", `--set "x" is not key=value`},
		{"topic alter a --unset x=1", `"x=1" is not the name of a configuration to unset`},
		{"topic alter a --set x=1 --unset x", `configuration "x" is given twice`},
		{"group reset-offsets", "weir group reset-offsets needs a GROUP"},
		{"group reset-offsets a b", "weir group reset-offsets takes one GROUP, but got 2"},
		{"group reset-offsets a", "say where to: --to, --to-time, --by-duration, --shift-by or --from-file"},
		{"group reset-offsets a --to 1 --shift-by 2", "--to and --shift-by exclude each other"},
		{"group reset-offsets a --to 1 --execute --dry-run", "--execute goes with neither --dry-run nor --export, which change nothing"},
		{"group reset-offsets a --to 1 --execute --export", "--execute goes with neither --dry-run nor --export, which change nothing"},
		{"group reset-offsets a --to sometime", `"sometime" is not a position: use start, end, an offset, -10, 2026-11-24T08:30:00Z, 2026-11-24 or -5m`},
		{"group reset-offsets a --to-time noon", `--to-time "noon": use a time (2026-11-24T08:30:00Z, 2026-11-24) or a time ago (-5m, -7d)`},
		{"group reset-offsets a --by-duration long", `--by-duration "long": use 90s, 30m, 2h, 7d or PT30M`},
		{"group reset-offsets a --to 1 --topic b:x", `"b:x" is not a topic with partitions: write it as orders, orders:3 or orders:0,2,5-7`},
		{"group delete", "weir group delete needs a GROUP"},
		{"group delete-offsets a", "say which offsets with --topic; `weir group delete` deletes the group with all of them"},
		{"group delete-offsets a --topic b:", `"b:" is not a topic with partitions: write it as orders, orders:3 or orders:0,2,5-7`},
		{"config get --topic a", "weir config get needs a NAME"},
		{"config get x", "say whose configurations: --topic NAME, --group NAME, --broker ID or --cluster"},
		{"config list --topic a --broker 1", "--topic and --broker exclude each other"},
		{"config list --topic=", "--topic needs a name"},
		{"config list a --cluster", `weir config list takes no arguments, but got "a"`},
		{"config set x --topic a", `argument "x" is not key=value`},
		{"config set x=1", "say whose configurations: --topic NAME, --group NAME, --broker ID or --cluster"},
		{"config unset x=1 --topic a", `"x=1" is not the name of a configuration to unset`},
		{"partition describe", "weir partition describe needs a TOPIC"},
		{"partition describe a:b", `"a:b" is not a topic with partitions: write it as orders, orders:3 or orders:0,2,5-7`},
		{"partition delete-records a", "say what to delete with --before: an offset, a time, or end for all records"},
		{"partition delete-records a --before later", `"later" is not a position: use start, end, an offset, -10, 2026-11-24T08:30:00Z, 2026-11-24 or -5m`},
		{"bench produce a b", "weir bench produce takes one TOPIC, but got 2"},
		{"bench produce --rate 0", "--rate must be more than 0"},
		{"bench produce --records 1 --duration 1s", "--records and --duration exclude each other"},
		{"bench produce --in-flight 0", "--in-flight must be at least 1"},
		{"bench produce --connections 0", "--connections must be at least 1"},
		{"bench produce --payload xml", "--payload: there is no payload \"xml\": use random or json"},
		{"bench produce --compression rar", `--compression "rar": use none, gzip, snappy, lz4 or zstd`},
		{"bench produce --acks 2", `--acks "2": use all, 1 or 0`},
		{"bench produce --record-bytes 1kb", `invalid argument "1kb" for "--record-bytes" flag: use a number of bytes, or a size such as 512KiB, 64MiB, 1GiB`},
		{"bench produce --record-bytes 0", "--record-bytes must be 1 to 67108864"},
		{"bench produce --config x", `--config "x" is not key=value`},
		{"bench produce a --partitions 3", "--partitions is about a topic that is made: leave it out, or TOPIC"},
		{"bench consume --pid 1073741824", "--pid: process 1073741824 cannot be measured: open /proc/1073741824/stat: no such file or directory"},
		{"bench latency --rate -1", "--rate must be more than 0"},
		{"cluster info a", `weir cluster info takes no arguments, but got "a"`},
		{"cluster status a", `weir cluster status takes no arguments, but got "a"`},
		{"cluster status --watch --interval 0s", "--interval must be more than 0"},
		{"cluster health --interval=-1s", "--interval must be more than 0"},
		{"cluster start-local --nodes 0", "--nodes must be 1 to 9"},
		{"cluster start-local --nodes 10", "--nodes must be 1 to 9"},
		{"cluster start-local --port 0", "--port must be 1 to 65535"},
		{"cluster decommission", "weir cluster decommission needs a BROKER"},
		{"cluster decommission one", `"one" is not the id of a node, which is a number`},
		{"cluster decommission 1 --at-once 0", "--at-once must be at least 1"},
		{"cluster rebalance --interval 0s", "--interval must be more than 0"},
		{"cluster unregister -- -1", `"-1" is not the id of a node, which is a number`},
		{"cluster add-voter 4", `--endpoint "": write where the other voters reach the node, as CONTROLLER://host:port`},
		{"cluster add-voter 4 --endpoint host:1", `--endpoint "host:1": write where the other voters reach the node, as CONTROLLER://host:port`},
		{"cluster add-voter 4 --endpoint C://:1", `--endpoint "C://:1": write where the other voters reach the node, as CONTROLLER://host:port`},
		{"cluster add-voter 4 --endpoint C://host:0", `--endpoint "C://host:0": write where the other voters reach the node, as CONTROLLER://host:port`},
		{"cluster remove-voter x", `"x" is not the id of a node, which is a number`},
		{"cluster features --upgrade x", `--upgrade "x" is not feature=level`},
		{"cluster features --downgrade x=latest", `--downgrade "x=latest" is not feature=level`},
		{"cluster features --upgrade x=1 --downgrade x=0", `feature "x" is given twice`},
		{"cluster features --dry-run", "--dry-run is about --upgrade and --downgrade"},
		{"partition reassign", "say what to move: partitions with --replicas, or --from-file"},
		{"partition reassign a", "say where to with --replicas: the ids of brokers, the one that should lead first"},
		{"partition reassign a --replicas 1,x", `--replicas "1,x": write the ids of brokers, as 1,2,3`},
		{"partition reassign a --from-file b", "name partitions or give --from-file, not both"},
		{"partition reassign --from-file b --replicas 1", "--replicas and --from-file exclude each other"},
		{"partition reassign --all", "--all goes with --cancel only: name the partitions to move"},
		{"partition reassign --cancel", "say what to take back: partitions, --from-file or --all"},
		{"partition reassign --cancel --all a", "--all goes without partitions and --from-file"},
		{"partition reassign --cancel a --replicas 1", "--cancel and --replicas exclude each other"},
		{"partition reassign --cancel a --at-once 1", "--cancel and --at-once exclude each other"},
		{"partition reassign a --replicas 1 --no-wait --at-once 1", "--no-wait begins everything at once: leave out --at-once"},
		{"partition elect", "say of which partitions, or --all"},
		{"partition elect a --all", "name partitions or give --all, not both"},
		{"cluster inof", `there is no command "weir cluster inof": did you mean "weir cluster info"?`},
	} {
		got := weir(context.Background(), strings.NewReader(""), strings.Fields(test.args)...)
		said, hint, _ := strings.Cut(got.err, "\n")
		if got.code != exitUsage || said != "weir: "+test.want || !strings.HasPrefix(hint, "See 'weir") || got.out != "" {
			t.Errorf("weir %s: exit code %d, output %q, errors %q, want %q", test.args, got.code, got.out, got.err, test.want)
		}
	}
}

func TestHelpIsNoError(t *testing.T) {
	for _, args := range []string{"", "topic", "group", "log", "config", "partition", "cluster", "bench", "topic create --help"} {
		if got := weir(context.Background(), nil, strings.Fields(args)...); got.code != exitOK || !strings.Contains(got.out, "Usage:") || got.err != "" {
			t.Errorf("weir %s: %+v", args, got)
		}
	}
}

func TestVersion(t *testing.T) {
	if got := weir(context.Background(), nil, "version"); got.code != 0 || !strings.HasPrefix(got.out, "weir development, go") {
		t.Errorf("%+v", got)
	}
	if got := weir(context.Background(), nil, "version", "-o", "json"); !strings.Contains(got.out, `"version": "development"`) {
		t.Errorf("%+v", got)
	}
}

// commandsThatConnect are those that need a broker, with what they need to get as far as asking it.
var commandsThatConnect = []string{
	"topic list", "topic create a", "topic describe a", "topic delete a", "produce a", "consume a", "consume a --follow",
	"consume a --group g", "group list", "group describe a",
	"topic alter a --partitions 2", "topic alter a --set x=1", "group reset-offsets a --to 1", "group delete a", "group delete-offsets a --topic b",
	"config get x --topic a", "config list --broker 1", "config set x=1 --cluster", "config unset x --group a",
	"bench produce", "bench consume a", "bench latency", "cluster info", "partition describe a", "partition delete-records a --before 1",
	"cluster status", "cluster voters", "cluster decommission 1", "cluster decommission 1 --dry-run", "cluster unregister 1", "cluster rebalance", "cluster features",
	"cluster add-voter 1 --endpoint C://host:1", "cluster remove-voter 1",
	"partition reassign a:0 --replicas 1", "partition reassign --cancel --all", "partition reassignments", "partition elect --all",
}

func TestNoBroker(t *testing.T) {
	address := closedPort(t)
	for _, args := range commandsThatConnect {
		got := weir(context.Background(), strings.NewReader("x\n"), append(strings.Fields(args), "-b", address)...)
		want := "weir: no broker answers at " + address + ": is it running? Start one with `weir serve`\n"
		if got != (ran{err: want, code: exitFailed}) {
			t.Errorf("weir %s: %+v", args, got)
		}
	}
}

func TestBootstrapServerFromEnvironment(t *testing.T) {
	c := newCluster(t)
	t.Setenv(bootstrapEnv, c.seed)
	if got := weir(context.Background(), nil, "topic", "list"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if got := weir(context.Background(), nil, "topic", "list", "-b", closedPort(t)); got.code != exitFailed {
		t.Errorf("the flag must win: %+v", got)
	}
}

// closedPort gives an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestServerThatIsNoBroker(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer string // empty: none; the connection stays open
		close  bool
		want   string
	}{
		{"silent", "", false, "weir: no answer from the cluster at <address> within 300ms: --timeout waits longer\n"},
		{"closes", "", true, "weir: the server at <address> closed the connection: is it a Kafka broker, without TLS and SASL?\n"},
		{"http", "HTTP/1.1 400 Bad Request\r\n\r\n", true, "weir: the server at <address> does not speak Kafka's protocol: is it the right port, without TLS?\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					defer conn.Close()
					if _, err := conn.Read(make([]byte, 1024)); err == nil {
						_, _ = conn.Write([]byte(test.answer))
					}
					if test.close {
						conn.Close()
					}
				}
			}()
			for _, args := range []string{"topic list", "produce a", "consume a", "group list"} {
				got := weir(context.Background(), strings.NewReader(""), append(strings.Fields(args), "-b", l.Addr().String(), "--timeout", "300ms")...)
				expect(t, got, exitFailed, "", test.want)
			}
		})
	}
}

// A broker whose advertised address is wrong is the first thing that goes wrong with Kafka in a container.
func TestAdvertisedAddressIsWrong(t *testing.T) {
	c := newCluster(t)
	wrong := closedPort(t)
	_, portText, _ := net.SplitHostPort(wrong)
	port, err := strconv.Atoi(portText)
	if err != nil {
		t.Fatal(err)
	}
	c.fake.ControlKey(int16(kmsg.Metadata), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		name := "orders"
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Leader, p.Replicas, p.ISR = 7, []int32{7}, []int32{7}
		response := request.ResponseKind().(*kmsg.MetadataResponse)
		response.ControllerID = 7
		response.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 7, Host: "127.0.0.1", Port: int32(port)}}
		response.Topics = []kmsg.MetadataResponseTopic{{Topic: &name, TopicID: [16]byte{1}, Partitions: []kmsg.MetadataResponseTopicPartition{p}}}
		return response, nil, true
	})
	want := "weir: the cluster says that one of its brokers is at " + wrong + ", but no broker answers there: check its advertised.listeners\n"
	for _, args := range []string{"consume orders", "produce orders", "topic create orders", "topic delete orders", "group list"} {
		got := weir(context.Background(), strings.NewReader("x\n"), append(strings.Fields(args), "-b", c.seed, "--timeout", "1s")...)
		if got.code != exitFailed || !strings.HasSuffix(got.err, want) {
			t.Errorf("weir %s: %+v", args, got)
		}
	}
}

func TestUnknownHost(t *testing.T) {
	got := weir(context.Background(), nil, "topic", "list", "-b", "no-such-host.invalid:9092")
	expect(t, got, exitFailed, "", "weir: host \"no-such-host.invalid\" is not known: check --bootstrap-server\n")
}

func TestInterrupted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, args := range commandsThatConnect {
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			if conn, err := l.Accept(); err == nil {
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 1))
			}
			cancel()
		}()
		got := weir(ctx, strings.NewReader(""), append(strings.Fields(args), "-b", l.Addr().String())...)
		if got != (ran{err: "weir: interrupted\n", code: exitFailed}) {
			t.Errorf("weir %s: %+v", args, got)
		}
	}
}
