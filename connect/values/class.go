package values

import (
	"errors"
	"fmt"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// Class gives the name of a value's class in Kafka Connect, for messages: "class java.lang.String".
func Class(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case int8:
		return "class java.lang.Byte"
	case int16:
		return "class java.lang.Short"
	case int32:
		return "class java.lang.Integer"
	case int64, int:
		return "class java.lang.Long"
	case float32:
		return "class java.lang.Float"
	case float64:
		return "class java.lang.Double"
	case bool:
		return "class java.lang.Boolean"
	case string:
		return "class java.lang.String"
	case []byte:
		return "class [B"
	case []any:
		return "class java.util.ArrayList"
	case map[string]any, []sdk.Entry:
		return "class java.util.HashMap"
	case *sdk.Struct:
		return "class org.apache.kafka.connect.data.Struct"
	case sdk.Decimal:
		return "class java.math.BigDecimal"
	case time.Time:
		return "class java.util.Date"
	}
	return fmt.Sprintf("%T", v)
}

// TypeOf gives the type of a value that has no schema; Invalid: it needs one.
func TypeOf(v any) sdk.Type {
	switch v.(type) {
	case int8:
		return sdk.Int8
	case int16:
		return sdk.Int16
	case int32:
		return sdk.Int32
	case int64, int:
		return sdk.Int64
	case float32:
		return sdk.Float32
	case float64:
		return sdk.Float64
	case bool:
		return sdk.Boolean
	case string:
		return sdk.String
	case []byte:
		return sdk.Bytes
	case []any:
		return sdk.Array
	case map[string]any, []sdk.Entry:
		return sdk.Map
	case *sdk.Struct:
		return sdk.Structure
	}
	return sdk.Invalid
}

// JavaType gives a type's name as Kafka's messages have it: "INT32".
func JavaType(t sdk.Type) string {
	return [...]string{"INVALID", "INT8", "INT16", "INT32", "INT64", "FLOAT32", "FLOAT64", "BOOLEAN", "STRING", "BYTES", "ARRAY", "MAP", "STRUCT"}[t]
}

// Check tells whether a value may be one of a schema, nested ones with it, in Kafka's words. where names it: "value".
func Check(s *sdk.Schema, v any, where string) error {
	if v == nil {
		if !s.Optional {
			return fmt.Errorf("Invalid value: null used for required %s, schema type: %s", where, JavaType(s.Type))
		}
		return nil
	}
	if !fits(s, v) {
		name := ""
		if s.Name != "" {
			name = fmt.Sprintf(" \"%s\"", s.Name)
		}
		return fmt.Errorf("Invalid Java object for schema%s with type %s: %s for %s", name, JavaType(s.Type), Class(v), where)
	}
	switch v := v.(type) {
	case *sdk.Struct:
		if !v.Schema.Equal(s) {
			return errors.New("Struct schemas do not match.")
		}
		for i, f := range v.Schema.Fields {
			if err := CheckField(&f, v.Values[i]); err != nil {
				return err
			}
		}
	case []any:
		for _, e := range v {
			if err := Check(s.Elem, e, "element of array "+where); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, e := range v {
			if err := Check(s.Elem, e, "value of map "+where); err != nil {
				return err
			}
		}
	case []sdk.Entry:
		for _, e := range v {
			if err := Check(s.Key, e.Key, "key of map "+where); err != nil {
				return err
			}
			if err := Check(s.Elem, e.Value, "value of map "+where); err != nil {
				return err
			}
		}
	}
	return nil
}

// CheckField is Check for the value of a field; one that is null and has a default is well.
func CheckField(f *sdk.Field, v any) error {
	if v == nil && (f.Schema.Optional || f.Schema.Default != nil) {
		return nil
	}
	return Check(f.Schema, v, "field: \""+f.Name+"\"")
}

func fits(s *sdk.Schema, v any) bool {
	switch s.Name {
	case sdk.LogicalDecimal:
		_, ok := v.(sdk.Decimal)
		return ok
	case sdk.LogicalDate, sdk.LogicalTime, sdk.LogicalTimestamp:
		_, ok := v.(time.Time)
		return ok
	}
	return TypeOf(v) == s.Type
}
