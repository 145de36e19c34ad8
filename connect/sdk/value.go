package sdk

import (
	"encoding/binary"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Struct is a value with a Structure as its schema. Values are in the order of the schema's fields; nil: null.
type Struct struct {
	Schema *Schema
	Values []any
}

// NewStruct makes one whose values are all null.
func NewStruct(s *Schema) *Struct { return &Struct{Schema: s, Values: make([]any, len(s.Fields))} }

// Get gives the value of a field; nil: null, or no such field.
func (s *Struct) Get(name string) any {
	if i := s.Schema.Field(name); i >= 0 {
		return s.Values[i]
	}
	return nil
}

// Set sets the value of a field, and tells whether there is one.
func (s *Struct) Set(name string, value any) bool {
	i := s.Schema.Field(name)
	if i >= 0 {
		s.Values[i] = value
	}
	return i >= 0
}

// Equal tells whether two structures have equal schemas and values.
func (s *Struct) Equal(o *Struct) bool {
	return s.Schema.Equal(o.Schema) && equalValues(s.Values, o.Values)
}

// equalValues compares values of schemas.
func equalValues(a, b any) bool {
	switch a := a.(type) {
	case *Struct:
		o, ok := b.(*Struct)
		return ok && a.Equal(o)
	case time.Time:
		o, ok := b.(time.Time)
		return ok && a.Equal(o)
	case []any:
		o, ok := b.([]any)
		return ok && slices.EqualFunc(a, o, equalValues)
	case map[string]any:
		o, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, o, equalValues)
	}
	return reflect.DeepEqual(a, b)
}

// Entry is an entry of a map whose keys are no strings.
type Entry struct{ Key, Value any }

// Decimal is a decimal number: Unscaled / 10^Scale. If Unscaled does not fit in an int64, Big has it.
type Decimal struct {
	Unscaled int64
	Big      *big.Int
	Scale    int32
}

// String writes it in plain digits, as PostgreSQL and the JSON converter's decimal.format=NUMERIC do.
func (d Decimal) String() string {
	digits := strconv.FormatInt(d.Unscaled, 10)
	if d.Big != nil {
		digits = d.Big.String()
	}
	switch {
	case d.Scale == 0:
		return digits
	case d.Scale < 0:
		if digits == "0" {
			return digits
		}
		return digits + strings.Repeat("0", int(-d.Scale))
	}
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	if missing := int(d.Scale) + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	point := len(digits) - int(d.Scale)
	return sign + digits[:point] + "." + digits[point:]
}

// AppendBytes appends the unscaled number as two's complement in as few bytes as hold it, big-endian: the form in which records have it.
func (d Decimal) AppendBytes(b []byte) []byte {
	if d.Big == nil {
		n := 8
		for n > 1 && d.Unscaled<<(64-8*(n-1))>>(64-8*(n-1)) == d.Unscaled {
			n--
		}
		var all [8]byte
		binary.BigEndian.PutUint64(all[:], uint64(d.Unscaled))
		return append(b, all[8-n:]...)
	}
	if d.Big.Sign() >= 0 {
		out := d.Big.Bytes()
		if len(out) == 0 || out[0]&0x80 != 0 {
			b = append(b, 0)
		}
		return append(b, out...)
	}
	n := d.Big.BitLen()/8 + 1
	if n > 1 && new(big.Int).Neg(d.Big).TrailingZeroBits() == uint(d.Big.BitLen()-1) && d.Big.BitLen()%8 == 0 {
		n-- // -2^(8n-1) needs no byte for the sign
	}
	two := new(big.Int).Add(d.Big, new(big.Int).Lsh(big.NewInt(1), uint(8*n)))
	return append(b, two.FillBytes(make([]byte, n))...)
}

// DecimalFromBytes reads what AppendBytes writes.
func DecimalFromBytes(b []byte, scale int32) Decimal {
	if len(b) <= 8 {
		var v int64
		if len(b) > 0 {
			v = int64(int8(b[0]))
		}
		for _, c := range b[min(1, len(b)):] {
			v = v<<8 | int64(c)
		}
		return Decimal{Unscaled: v, Scale: scale}
	}
	v := new(big.Int).SetBytes(b)
	if b[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return Decimal{Big: v, Scale: scale}.short()
}

// ParseDecimal reads plain digits; false: it is no decimal number. The scale is the number of digits after the point.
func ParseDecimal(s string) (Decimal, bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	digits := whole + fraction
	if strings.ContainsAny(fraction, "+-") || strings.ContainsRune(digits, '_') {
		return Decimal{}, false
	}
	if v, err := strconv.ParseInt(digits, 10, 64); err == nil {
		return Decimal{Unscaled: v, Scale: int32(len(fraction))}, true
	}
	v, ok := new(big.Int).SetString(digits, 10)
	if !ok {
		return Decimal{}, false
	}
	return Decimal{Big: v, Scale: int32(len(fraction))}.short(), true
}

// short has Big only if it is needed, so that equal decimals are equal.
func (d Decimal) short() Decimal {
	if d.Big != nil && d.Big.IsInt64() {
		return Decimal{Unscaled: d.Big.Int64(), Scale: d.Scale}
	}
	return d
}
