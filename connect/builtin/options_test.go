package builtin_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/weir/weir/connect/builtin"
	"github.com/weir/weir/connect/sdk"
)

// mentions gives the texts that the code of a package beside this one has, but for where it describes options.
func mentions(t *testing.T, name string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../" + name + "/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	found := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		collect(f, found)
	}
	return found
}

// describing are the functions that make descriptions of options, and what only these use.
var describing = map[string]bool{"option": true, "required": true, "checked": true, "other": true, "idle": true, "javaClass": true, "oneOf": true, "classOf": true, "within": true, "secretOptions": true}

func collect(root ast.Node, found map[string]bool) {
	ast.Inspect(root, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && describing[f.Name] {
				return false
			}
		case *ast.CompositeLit:
			if n.Type == nil || isOption(n.Type) {
				// An element of a list of options, or of another list.
				for _, e := range n.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok {
						if key, ok := kv.Key.(*ast.Ident); ok && key.Name == "Name" {
							return false
						}
					}
				}
			}
		}
		if e, ok := n.(ast.Expr); ok {
			if text, ok := literal(e); ok {
				found[text] = true
			}
		}
		return true
	})
}

func isOption(typ ast.Expr) bool {
	sel, ok := typ.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Option"
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(l.Value)
	return text, err == nil && text != ""
}

// used tells whether the code has an option's name, or two texts that are put together to it.
func used(found map[string]bool, option string) bool {
	for i := range option {
		if found[option[i:]] && (i == 0 || found[option[:i]]) {
			return true
		}
	}
	return false
}

// byForm are options that stand for others whose names are known by their form, or that are read by it.
func byForm(option string) bool {
	return strings.Contains(option, "(") || strings.HasPrefix(option, "column.mask") || strings.HasSuffix(option, ".sasl.jaas.config")
}

// TestNoneIgnored: each option of each connector is one that its code reads, or one of which validation says that it is not supported, or
// that it has no effect; and never both.
func TestNoneIgnored(t *testing.T) {
	for _, c := range builtin.Connectors() {
		found := mentions(t, path.Base(reflect.TypeOf(c).PkgPath()))
		for _, o := range c.Options() {
			told := o.Unsupported != "" || o.NoEffect != ""
			switch {
			case !used(found, o.Name) && !byForm(o.Name) && !told && !o.Internal:
				t.Errorf("%s: nothing reads %s, and validation does not say so", c.Info().Class, o.Name)
			case o.Unsupported != "" && o.NoEffect != "":
				t.Errorf("%s: %s is said to be not supported, and to have no effect", c.Info().Class, o.Name)
			}
		}
	}
}

// TestTold: an option that is set to its default is never told of; another value of one without effect is, and is no error.
func TestTold(t *testing.T) {
	for _, c := range builtin.Connectors() {
		options := slices.Clone(c.Options())
		for i := range options {
			options[i].Required, options[i].NoDefault, options[i].Check = false, options[i].NoDefault || options[i].Required, nil // each by itself
		}
		for _, o := range options {
			other := map[sdk.Kind]string{sdk.BooleanOption: strconv.FormatBool(o.Default != "true")}[o.Kind]
			if other == "" {
				other = "77"
			}
			if !o.NoDefault {
				v, wrong := sdk.Parse(options, map[string]string{o.Name: o.Default})
				if len(wrong)+len(v.Idle()) > 0 && o.Default != "" {
					t.Errorf("%s: the default %s=%s is told of: %v %v", c.Info().Class, o.Name, o.Default, wrong, v.Idle())
				}
			}
			v, wrong := sdk.Parse(options, map[string]string{o.Name: other})
			switch told := v.Idle(); {
			case o.NoEffect != "" && (len(told) != 1 || told[0].Option != o.Name || !strings.Contains(told[0].Error(), o.NoEffect) || len(wrong) > 0):
				t.Errorf("%s: %s=%s is told of as %v %v", c.Info().Class, o.Name, other, told, wrong)
			case o.NoEffect == "" && len(told) > 0:
				t.Errorf("%s: %s=%s is told of: %v", c.Info().Class, o.Name, other, told)
			case o.Unsupported != "" && len(o.Accepts) == 0 && len(wrong) == 0:
				t.Errorf("%s: %s=%s is no error, and is not supported", c.Info().Class, o.Name, other)
			}
		}
	}
}
