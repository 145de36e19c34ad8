package postgres

import (
	"context"
	"math"
	"strconv"
	"strings"
)

// Types that the server has built in.
const (
	oidBool        = 16
	oidBytea       = 17
	oidChar        = 18
	oidName        = 19
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidOid         = 26
	oidJSON        = 114
	oidXML         = 142
	oidPoint       = 600
	oidLseg        = 601
	oidPath        = 602
	oidBox         = 603
	oidPolygon     = 604
	oidLine        = 628
	oidCidr        = 650
	oidFloat4      = 700
	oidFloat8      = 701
	oidCircle      = 718
	oidMacaddr8    = 774
	oidMoney       = 790
	oidMacaddr     = 829
	oidInet        = 869
	oidBpchar      = 1042
	oidVarchar     = 1043
	oidDate        = 1082
	oidTime        = 1083
	oidTimestamp   = 1114
	oidTimestamptz = 1184
	oidInterval    = 1186
	oidTimetz      = 1266
	oidBit         = 1560
	oidVarbit      = 1562
	oidNumeric     = 1700
	oidUUID        = 2950
	oidTsvector    = 3614
	oidJSONB       = 3802
	oidInt4range   = 3904
	oidNumrange    = 3906
	oidTsrange     = 3908
	oidTstzrange   = 3910
	oidDaterange   = 3912
	oidInt8range   = 3926

	// Arrays that are left out, as Debezium does.
	oidXMLArray       = 143
	oidMoneyArray     = 791
	oidNameArray      = 1003
	oidPointArray     = 1017
	oidIntervalArray  = 1187
	oidBitArray       = 1561
	oidVarbitArray    = 1563
	oidRefcursorArray = 2201
)

// pgType is a type, as pg_type describes it.
type pgType struct {
	oid      uint32
	schema   string
	name     string
	category byte
	elem     *pgType // of an array
	base     *pgType // of a domain
	mod      int32   // of a domain, for its base
	notNull  bool    // of a domain
	labels   []string
}

// types are all types of a database that can be columns'.
type types struct{ byOID map[uint32]*pgType }

const typesQuery = `SELECT t.oid, n.nspname, t.typname, t.typcategory, t.typelem, t.typbasetype, t.typtypmod, t.typnotnull,
 CASE WHEN t.typtype = 'e' THEN (SELECT string_agg(enumlabel, E'\x01' ORDER BY enumsortorder) FROM pg_catalog.pg_enum WHERE enumtypid = t.oid) END
 FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
 LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid WHERE t.typrelid = 0 OR c.relkind = 'c'`

// readTypes asks for the types.
func readTypes(ctx context.Context, w *wire) (*types, error) {
	out := &types{byOID: map[uint32]*pgType{}}
	type links struct{ elem, base uint32 }
	later := map[*pgType]links{}
	rows, err := w.query(ctx, typesQuery)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		t := &pgType{oid: oidOf(r[0]), schema: r[1], name: r[2], mod: modOf(r[6]), notNull: r[7] == "t"}
		if r[3] != "" {
			t.category = r[3][0]
		}
		if r[8] != "" {
			t.labels = strings.Split(r[8], "\x01")
		}
		out.byOID[t.oid] = t
		later[t] = links{oidOf(r[4]), oidOf(r[5])}
	}
	for t, l := range later {
		t.elem, t.base = out.byOID[l.elem], out.byOID[l.base]
	}
	return out, nil
}

func oidOf(s string) uint32 {
	n, _ := strconv.ParseUint(s, 10, 32) // the server writes it as a number; none is 0
	return uint32(n)
}

func modOf(s string) int32 {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return -1
	}
	return int32(n)
}

// root gives the type that a domain is made of, and the modifier that then counts.
func (ts *types) root(t *pgType, mod int32) (*pgType, int32) {
	for t.base != nil {
		if mod < 0 {
			mod = t.mod
		}
		t = t.base
	}
	switch t.oid {
	case oidBpchar, oidVarchar:
		if mod >= 4 {
			mod -= 4
		}
	}
	return t, mod
}

// extent gives what JDBC tells of a type's length and number of decimal digits: Debezium writes it into schemas.
func extent(t *pgType, mod int32) (length, scale int32) {
	switch t.oid {
	case oidInt2:
		return 5, 0
	case oidInt4, oidOid:
		return 10, 0
	case oidInt8:
		return 19, 0
	case oidFloat4:
		return 8, 8
	case oidFloat8:
		return 17, 17
	case oidBool, oidChar:
		return 1, 0
	case oidNumeric:
		if p, s, ok := numericLimits(mod); ok {
			return p, s
		}
		return 131_089, 0
	case oidBpchar, oidVarchar, oidBit, oidVarbit:
		if mod >= 0 {
			return mod, 0
		}
	case oidDate:
		return 13, 0
	case oidTime, oidTimetz, oidTimestamp, oidTimestamptz:
		width := map[uint32]int32{oidTime: 8, oidTimetz: 14, oidTimestamp: 22, oidTimestamptz: 28}[t.oid]
		p := timePrecision(mod)
		if p > 0 {
			width += p + 1
		}
		return width, p
	case oidInterval:
		return 49, 6
	}
	if t.category == 'A' && t.elem != nil && t.elem.base == nil {
		return extent(t.elem, mod)
	}
	return math.MaxInt32, 0
}
