// Package file reads lines of text files and writes them, as Kafka's FileStream connectors do: with their class names, options and
// positions.
package file

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/weir/weir/connect/sdk"
)

// version is the release of Kafka whose connectors these are like.
const version = "4.3.1"

// Connectors are those of this package.
func Connectors() []sdk.Connector { return []sdk.Connector{Source{}, Sink{}} }

// open opens a file for a connector. If the worker has a root for files, it has to be under that.
func open(v sdk.Values, name string, flag int) (*os.File, error) {
	under := v.Map()[sdk.FileRoot]
	if under == "" {
		return os.OpenFile(name, flag, 0o666)
	}
	base, err := filepath.Abs(under)
	if err != nil {
		return nil, err
	}
	local := name
	if filepath.IsAbs(name) {
		if local, err = filepath.Rel(base, name); err != nil {
			return nil, err
		}
	}
	if !filepath.IsLocal(local) {
		return nil, sdk.Misconfigured("The file %s is not under %s, where this worker lets connectors read and write (its option file.root)", name, under)
	}
	root, err := os.OpenRoot(base) // which also holds links to what is under it
	if err != nil {
		return nil, sdk.Misconfigured("The folder of the worker's option file.root cannot be opened: %w", err)
	}
	defer func() { _ = root.Close() }()
	f, err := root.OpenFile(local, flag, 0o666)
	if err != nil {
		return nil, fmt.Errorf("under %s: %w", under, err)
	}
	return f, nil
}

// only makes an error if the worker lets connectors use files under its root only, and file is the name of none.
func only(v sdk.Values, stream string) error {
	if v.Map()[sdk.FileRoot] == "" {
		return nil
	}
	return sdk.Misconfigured("Set file: this worker lets connectors use files under its option file.root only, not its %s", stream)
}
