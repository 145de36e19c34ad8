package postgres

import (
	"testing"

	"github.com/weir/weir/connect/sdk"
)

// TestTexts: what PostgreSQL prints is read, under the options that it depends on. What Debezium gives for more common values is in the
// golden files.
func TestTexts(t *testing.T) {
	ts := &types{byOID: map[uint32]*pgType{}}
	adaptive := &options{times: "adaptive", decimals: "precise", binary: "bytes", hstores: "json", intervals: "numeric", placeholder: "gone", moneyDigits: 2}
	with := func(change func(*options)) *options {
		o := *adaptive
		change(&o)
		return &o
	}
	iso := with(func(o *options) { o.times = "isostring" })
	for _, test := range []struct {
		o          *options
		typ        uint32
		mod        int32
		text, want string
	}{
		{adaptive, oidDate, -1, "0044-03-15 BC", "-735160"},
		{iso, oidDate, -1, "0044-03-15 BC", `"-0043-03-15Z"`},
		{iso, oidDate, -1, "12024-01-31", `"+12024-01-31Z"`},
		{adaptive, oidTimestamp, 3, "-infinity", "-9223372036832400000"},
		{adaptive, oidTimestamptz, -1, "0001-12-31 23:59:59.5+00 BC", `"0000-12-31T23:59:59.500000Z"`},
		{adaptive, oidTimestamptz, 0, "2024-01-01 00:00:00+05:30", `"2023-12-31T18:30:00Z"`},
		{adaptive, oidTimestamptz, -1, "1800-01-01 00:00:00+00:53:28", `"1799-12-31T23:06:32.000000Z"`},
		{adaptive, oidTimetz, -1, "24:00:00+00", `"24:00:00Z"`},
		{adaptive, oidTimetz, -1, "01:00:00.5+02", `"23:00:00.5Z"`},
		{adaptive, oidInterval, -1, "-1 years -2 mons +3 days -04:05:06.789", "-36572706789000"},
		{with(func(o *options) { o.intervals = "string" }), oidInterval, -1, "00:00:00", `"P0Y0M0DT0H0M0S"`},
		{adaptive, oidNumeric, 4 + (5<<16 | 2), "1.5", `"AJY="`},
		{adaptive, oidNumeric, 4 + (5<<16 | (-2 & 0x7ff)), "1200", `"DA=="`},
		{adaptive, oidNumeric, -1, "100.0", `{"scale":0,"value":"ZA=="}`},
		{adaptive, oidNumeric, -1, "123456789012345678901234567890.10", `{"scale":1,"value":"D5Uan6OihslPDnZsNQ=="}`},
		{adaptive, oidMoney, -1, "-$92,233,720,368,547,758.08", `"gAAAAAAAAAA="`},
		{adaptive, oidVarbit, 12, "", `""`},
		{adaptive, oidVarbit, 12, "100000000", `"AAE="`},
		{adaptive, oidBit, 1, "1", "true"},
		{adaptive, oidFloat8, -1, "-0", "-0.0"},
		{adaptive, oidInt8, -1, "9223372036854775807", "9223372036854775807"},
		{adaptive, oidPath, -1, "[(0,0),(1,1)]", `{"wkb":"AQIAAAACAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAPA/AAAAAAAA8D8=","srid":null,"extensions":{"closed":"false","type":"path"}}`},
	} {
		k, ok := kinds{o: test.o, types: ts}.of(&pgType{oid: test.typ}, test.mod)
		if !ok {
			t.Errorf("type %d is left out", test.typ)
			continue
		}
		v, err := k.read(&slab{}, []byte(test.text))
		if got := string(appendValue(nil, k.schema, v)); err != nil || got != test.want {
			t.Errorf("%s (type %d) is %s, %v; want %s", test.text, test.typ, got, err, test.want)
		}
	}
	hstore, _ := kinds{o: adaptive, types: ts}.of(&pgType{oid: 99999, name: "hstore"}, -1)
	v, err := hstore.read(&slab{}, []byte(`"one"=>"1", "two"=>NULL, "a \"b\""=>"\\c", "three"=>"x=>y, z"`))
	if want := `{"one":"1","two":null,"a \"b\"":"\\c","three":"x=>y, z"}`; err != nil || len(v.(string)) != len(want) {
		t.Errorf("hstore is %v, %v", v, err)
	}
	ints, _ := kinds{o: adaptive, types: ts}.of(&pgType{oid: 1007, name: "_int4", category: 'A', elem: &pgType{oid: oidInt4}}, -1)
	if v, err := ints.read(&slab{}, []byte("[0:1]={1,2}")); err != nil || string(appendValue(nil, ints.schema, v)) != "[1,2]" {
		t.Errorf("an array with bounds is %v, %v", v, err)
	}
	if v, err := ints.read(&slab{}, []byte("{{1,2},{3,4}}")); err == nil {
		t.Errorf("an array of arrays is %v", v)
	}
}

// TestDefaults: schemas tell defaults that are literals, and placeholders for those that are computed.
func TestDefaults(t *testing.T) {
	o := &options{times: "adaptive", decimals: "precise", binary: "bytes"}
	for _, test := range []struct {
		typ              uint32
		expression, want string
	}{
		{oidInt4, "42", "42"},
		{oidInt4, "'-5'::integer", "-5"},
		{oidInt4, "nextval('a_seq'::regclass)", "0"},
		{oidText, "'it''s'::text", `"it's"`},
		{oidText, "''::text", `""`},
		{oidText, "NULL::text", "none"},
		{oidBool, "true", "true"},
		{oidBool, "false", "false"},
		{oidTimestamptz, "now()", `"1970-01-01T00:00:00.000000Z"`},
		{oidTimestamp, "CURRENT_TIMESTAMP", "0"},
		{oidTimestamp, "'2020-01-02'::timestamp without time zone", "1577923200000000"},
		{oidDate, "CURRENT_DATE", "0"},
		{oidUUID, "gen_random_uuid()", `"00000000-0000-0000-0000-000000000000"`},
		{oidInt4, "(1 + 2)", "none"},
		{oidPoint, "'(1,2)'::point", "none"},
	} {
		typ := &pgType{oid: test.typ}
		k, _ := kinds{o: o, types: &types{}}.of(typ, -1)
		got := "none"
		if v := defaultOf(typ, k, test.expression); v != nil {
			got = string(appendValue(nil, k.schema, v))
		}
		if got != test.want {
			t.Errorf("DEFAULT %s is %s, want %s", test.expression, got, test.want)
		}
	}
}

// TestOrderOfPairs: members come as Java's HashMap has them.
func TestOrderOfPairs(t *testing.T) {
	got := jsonPairs([]string{"zebra", "apple", "k", "n", "Aa", "BB"}, []any{"1", "2", "3", nil, "5", "6"})
	if want := `{"zebra":"1","Aa":"5","BB":"6","apple":"2","k":"3","n":null}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// FuzzMessages: nothing that comes over the wire makes the reader panic or read beyond it.
func FuzzMessages(f *testing.F) {
	f.Add([]byte{0, 2, 'n', 't', 0, 0, 0, 1, 'x'})
	f.Add([]byte("1\t\\N\ta\\\\b\\tc\n"))
	f.Add([]byte(`{1,NULL,"a \" b",{2}}`))
	f.Add([]byte(`"a"=>"b", "c"=>NULL`))
	f.Add([]byte("2024-02-29 13:14:15.123456+02 BC"))
	f.Add([]byte("1 year 2 mons 3 days -04:05:06.789"))
	o := &options{times: "adaptive", decimals: "precise", binary: "bytes", hstores: "json", intervals: "numeric", moneyDigits: 2, unknownTypes: true}
	var all []kind
	for _, oid := range []uint32{oidBool, oidInt2, oidInt4, oidInt8, oidFloat4, oidFloat8, oidNumeric, oidMoney, oidBytea, oidBit, oidDate, oidTime, oidTimetz,
		oidTimestamp, oidTimestamptz, oidInterval, oidPoint, oidBox, oidPath, oidPolygon, oidCircle, oidLine} {
		k, _ := kinds{o: o, types: &types{}}.of(&pgType{oid: oid}, 7)
		all = append(all, k)
	}
	for _, name := range []string{"hstore", "geometry", "vector", "halfvec"} {
		k, _ := kinds{o: o, types: &types{}}.of(&pgType{oid: 99999, name: name}, -1)
		all = append(all, k)
	}
	ints, _ := kinds{o: o, types: &types{}}.of(&pgType{oid: 1009, category: 'A', elem: &pgType{oid: oidText}}, -1)
	all = append(all, ints)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, parse := range []func(c *cursor){
			func(c *cursor) { parseTuple(c, nil) }, func(c *cursor) { parseRelation(c) }, func(c *cursor) { parseTruncate(c) },
			func(c *cursor) { parseMessage(c) }, func(c *cursor) { parseBegin(c) }, func(c *cursor) { parseCommit(c) },
		} {
			parse(&cursor{b: b})
		}
		_, _ = parseDataRow(b, nil)
		for _, k := range all {
			if v, err := k.read(&slab{}, b); err == nil && v == nil && k.schema.Type != sdk.Structure {
				t.Errorf("%q is nothing, and no error, as %s", b, k.schema.Name)
			}
		}
		parseCopyRow(append([]byte{}, b...), nil)
	})
}
