package tidy

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/weir/weir/"

// layers are the packages from the top down. A package may import those in lower rows only, never one
// beside it.
var layers = [][]string{
	{"cmd/weir", "test/chaos"},
	{"cli", "weirtest"},
	{"node", "sim"},
	{"connect"},
	{"connect/builtin"},
	{"connect/postgres", "connect/sql", "connect/opensearch", "connect/file", "connect/datagen", "connect/http", "connect/s3", "connect/mirror", "connect/process", "connect/sdk/kit"},
	{"connect/runtime"},
	{"connect/convert", "connect/transform", "connect/herder"},
	{"connect/values"},
	{"connect/sdk", "connect/host"},
	{"broker/api"},
	{"broker/server"},
	{"coordinator"},
	{"peers"},
	{"coordinator/group", "partition", "broker/wire", "transport"},
	{"cluster", "replication"},
	{"coordinator/machine", "config", "log"},
	{"record", "internal/vfs", "internal/kept", "internal/load", "internal/nearest", "internal/stats", "test/chaos/history"},
	{"internal/bugs"},
}

// pure packages hold decisions: no clock of their own, no goroutine, no file, no socket.
var pure = []string{"cluster", "connect/herder", "connect/transform", "connect/values", "coordinator/group", "coordinator/machine", "record", "broker/wire", "test/chaos/history"}

var impure = []string{"os", "net", "net/http", "log/slog", module + "internal/vfs", "syscall", "golang.org/x/sys/unix"}

// goFiles gives the folders of the module and their Go files, tests aside.
func goFiles(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || slices.Contains([]string{"node_modules", "bin", "weir-data"}, d.Name())) {
			return filepath.SkipDir
		}
		if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != root {
			return filepath.SkipDir // another module
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			dir, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			out[dir] = append(out[dir], path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func imports(t *testing.T, file string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, i := range f.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, path)
	}
	return out
}

func layerOf(dir string) int {
	return slices.IndexFunc(layers, func(row []string) bool { return slices.Contains(row, dir) })
}

// TestImportsGoDown keeps the direction of imports, so that a package can be understood with those below it.
func TestImportsGoDown(t *testing.T) {
	for dir, files := range goFiles(t) {
		from := layerOf(dir)
		for _, file := range files {
			for _, path := range imports(t, file) {
				to, ours := strings.CutPrefix(path, module)
				if !ours {
					continue
				}
				if from < 0 {
					if strings.HasPrefix(dir, "examples") || dir == "test" {
						t.Errorf("%s imports %s: examples and black-box tests use Weir as its users do", file, path)
					} else {
						t.Errorf("%s is in no row of the layers; add it where it belongs", dir)
					}
					break
				}
				if layerOf(to) <= from {
					t.Errorf("%s imports %s, which is not below it", file, path)
				}
			}
		}
	}
}

// TestPurePackages keeps clocks, goroutines and I/O out of the packages that only decide.
func TestPurePackages(t *testing.T) {
	all := goFiles(t)
	for _, dir := range pure {
		for _, file := range all[dir] {
			for _, path := range imports(t, file) {
				if slices.Contains(impure, path) {
					t.Errorf("%s imports %s: %s only decides", file, path, dir)
				}
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for n, line := range strings.Split(string(b), "\n") {
				if strings.Contains(line, "time.Now(") || strings.HasPrefix(strings.TrimSpace(line), "go ") {
					t.Errorf("%s:%d: %s: %s only decides", file, n+1, strings.TrimSpace(line), dir)
				}
			}
		}
	}
}

// TestPackageComments wants exactly one package comment in each package.
func TestPackageComments(t *testing.T) {
	for dir, files := range goFiles(t) {
		count := 0
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil {
				count++
			}
		}
		if count != 1 {
			t.Errorf("%s has %d package comments", dir, count)
		}
	}
}

// TestFilesStaySmall keeps files of a size that a person can hold.
func TestFilesStaySmall(t *testing.T) {
	const most = 800
	for _, files := range goFiles(t) {
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(b), "\n"); n > most {
				t.Errorf("%s has %d lines: would it be easier to know as two?", file, n)
			}
		}
	}
}
