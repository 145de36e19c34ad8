package values

import (
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/weir/weir/connect/sdk"
)

// AppendFloat64 appends a number as Java's Double.toString writes it: the fewest digits that tell it from its neighbours, but one after
// the point at least, and an exponent below 10^-3 and from 10^7 on.
func AppendFloat64(dst []byte, f float64) []byte { return appendFloat(dst, f, 64) }

// AppendFloat32 is AppendFloat64 for Float.toString.
func AppendFloat32(dst []byte, f float32) []byte { return appendFloat(dst, float64(f), 32) }

func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	abs := math.Abs(f)
	if abs == 0 || abs >= 1e-3 && abs < 1e7 {
		start := len(dst)
		dst = strconv.AppendFloat(dst, f, 'f', -1, bits)
		for _, c := range dst[start:] {
			if c == '.' {
				return dst
			}
		}
		return append(dst, '.', '0')
	}
	return appendExponent(dst, f, bits)
}

// appendExponent writes d.dddE±n. Java writes two digits where one would do, the closest two.
func appendExponent(dst []byte, f float64, bits int) []byte {
	var scratch [32]byte
	text := strconv.AppendFloat(scratch[:0], f, 'e', -1, bits)
	digits := text
	if digits[0] == '-' {
		digits = digits[1:]
	}
	if digits[1] != '.' {
		text = strconv.AppendFloat(scratch[:0], f, 'e', 1, bits)
	}
	at := len(text) - 1
	for text[at] != 'e' {
		at--
	}
	dst = append(append(dst, text[:at]...), 'E')
	if text[at+1] == '-' {
		dst = append(dst, '-')
	}
	exponent := text[at+2:]
	for len(exponent) > 1 && exponent[0] == '0' {
		exponent = exponent[1:]
	}
	return append(dst, exponent...)
}

// AppendDecimal appends a decimal as Java's BigDecimal.toString writes it: with an exponent if it has a negative scale or is tiny.
func AppendDecimal(dst []byte, d sdk.Decimal) []byte {
	digits := strconv.FormatInt(d.Unscaled, 10)
	if d.Big != nil {
		digits = d.Big.String()
	}
	unsigned := strings.TrimPrefix(digits, "-")
	adjusted := int64(len(unsigned)) - 1 - int64(d.Scale)
	if d.Scale >= 0 && adjusted >= -6 {
		return append(dst, d.String()...)
	}
	if len(unsigned) < len(digits) {
		dst = append(dst, '-')
	}
	dst = append(dst, unsigned[0])
	if len(unsigned) > 1 {
		dst = append(append(dst, '.'), unsigned[1:]...)
	}
	if adjusted == 0 {
		return dst
	}
	dst = append(dst, 'E')
	if adjusted > 0 {
		dst = append(dst, '+')
	}
	return strconv.AppendInt(dst, adjusted, 10)
}

// ParseDecimal reads a number as Java's BigDecimal does: digits with a point and an exponent. false: it is none, or its exponent is
// out of bounds.
func ParseDecimal(s string) (sdk.Decimal, bool) {
	mantissa, exponent := s, int64(0)
	if at := strings.IndexAny(s, "eE"); at >= 0 {
		n, err := strconv.ParseInt(s[at+1:], 10, 32)
		if err != nil || strings.ContainsRune(s[at+1:], '_') {
			return sdk.Decimal{}, false
		}
		mantissa, exponent = s[:at], n
	}
	d, ok := sdk.ParseDecimal(strings.TrimPrefix(mantissa, "+"))
	if !ok || strings.HasPrefix(mantissa, "+-") || strings.HasPrefix(mantissa, "++") {
		return sdk.Decimal{}, false
	}
	scale := int64(d.Scale) - exponent
	if scale != int64(int32(scale)) {
		return sdk.Decimal{}, false
	}
	d.Scale = int32(scale)
	return d, true
}

// Big gives the unscaled number.
func Big(d sdk.Decimal) *big.Int {
	if d.Big != nil {
		return d.Big
	}
	return big.NewInt(d.Unscaled)
}

// digitsMost is how many digits a decimal may have once it is written without an exponent. It keeps a few bytes of input, such
// as 1e999999999, from becoming gigabytes.
const digitsMost = 100_000

// Whole gives a decimal without its fraction, as Java's BigDecimal.toBigInteger; false: it has too many digits.
func Whole(d sdk.Decimal) (*big.Int, bool) {
	n := Big(d)
	switch {
	case d.Scale == 0 || n.Sign() == 0:
		return n, true
	case d.Scale < -digitsMost:
		return nil, false
	case d.Scale < 0:
		return new(big.Int).Mul(n, power10(-d.Scale)), true
	case int64(d.Scale) > int64(n.BitLen()):
		return new(big.Int), true // smaller than one
	}
	return new(big.Int).Quo(n, power10(d.Scale)), true
}

func power10(n int32) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// LowBits gives the lower 64 bits of a whole number, as Java's BigInteger.longValue.
func LowBits(n *big.Int) int64 {
	if n.IsInt64() {
		return n.Int64()
	}
	low := new(big.Int).And(n, new(big.Int).SetUint64(math.MaxUint64)) // of two's complement, also for negative numbers
	return int64(low.Uint64())
}

// Float64 gives the closest floating point number to a decimal.
func Float64(d sdk.Decimal) float64 {
	f, _ := strconv.ParseFloat(string(AppendDecimal(nil, d)), 64) // out of range: infinite, as in Java
	return f
}

// Float32 gives the closest floating point number to a decimal.
func Float32(d sdk.Decimal) float32 {
	f, _ := strconv.ParseFloat(string(AppendDecimal(nil, d)), 32)
	return float32(f)
}
