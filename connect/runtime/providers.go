package runtime

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/magiconair/properties"

	"github.com/weir/weir/connect/sdk"
)

// providers know what configurations refer to, as ${NAME:PATH:KEY} or ${NAME:KEY} (KIP-297): config.providers of the worker.
type providers struct{ byName map[string]provider }

// provider gives a value. The error says what is wrong, without values.
type provider func(path, key string) (string, error)

var reference = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\$\{([^}]*?):(?:([^}]*?):)?([^}]*?)\}`)
})

// newProviders makes those of a worker. If it does not say, there are env, and file and directory if file.root is set.
func newProviders(options map[string]string) (*providers, error) {
	p := &providers{map[string]provider{}}
	root := options[sdk.FileRoot]
	if _, chosen := options["config.providers"]; !chosen {
		p.byName["env"], _ = environment("")
		if root != "" {
			p.byName["file"], p.byName["directory"] = propertiesFiles(root), directoryFiles(root)
		}
		return p, nil
	}
	for _, name := range strings.Split(options["config.providers"], ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		prefix := "config.providers." + name + "."
		class, params := options[prefix+"class"], under(options, prefix+"param.")
		var err error
		switch class[strings.LastIndexByte(class, '.')+1:] {
		case "EnvVarConfigProvider":
			p.byName[name], err = environment(params["allowlist.pattern"])
		case "FileConfigProvider":
			p.byName[name] = propertiesFiles(cmp.Or(params["allowed.paths"], root))
		case "DirectoryConfigProvider":
			p.byName[name] = directoryFiles(cmp.Or(params["allowed.paths"], root))
		default:
			err = fmt.Errorf("there is no config provider %q: choose EnvVarConfigProvider, FileConfigProvider or DirectoryConfigProvider", class)
		}
		if err != nil {
			return nil, fmt.Errorf("%sclass: %w", prefix, err)
		}
	}
	return p, nil
}

// look replaces what a configuration refers to. It gives the values that were put in besides.
func (p *providers) look(config map[string]string) (out map[string]string, values []string, err error) {
	out = make(map[string]string, len(config))
	for _, option := range slices.Sorted(maps.Keys(config)) {
		out[option] = reference().ReplaceAllStringFunc(config[option], func(ref string) string {
			parts := reference().FindStringSubmatch(ref)
			get := p.byName[parts[1]]
			if get == nil {
				return ref // it means something else, as Kafka has it
			}
			got, failed := get(parts[2], parts[3])
			if failed != nil && err == nil {
				err = sdk.Misconfigured("%s refers to %s: %w", option, ref, failed)
			}
			values = append(values, got)
			return got
		})
	}
	return out, values, err
}

// environment gives environment variables whose whole names fit a pattern; "": all.
func environment(pattern string) (provider, error) {
	allowed, err := regexp.Compile("^(?:" + pattern + ")$")
	if err != nil {
		return nil, err
	}
	return func(_, key string) (string, error) {
		value, set := os.LookupEnv(key)
		if !set || pattern != "" && !allowed.MatchString(key) {
			return "", fmt.Errorf("there is no environment variable %s that connectors may see", key)
		}
		return value, nil
	}, nil
}

// files reads from files under allowed paths; "": any. of gives the file that path and key are about.
func files(allowed string, of func(path, key string) (string, error), read func(b []byte, path, key string) (string, error)) provider {
	return func(path, key string) (string, error) {
		name, err := of(path, key)
		if err != nil {
			return "", err
		}
		real, err := filepath.EvalSymlinks(name)
		if err != nil {
			return "", fmt.Errorf("there is no file %s", name)
		}
		if allowed != "" && !within(real, strings.Split(allowed, ",")) {
			return "", fmt.Errorf("%s is not under %s, where connectors may read", name, allowed)
		}
		b, err := os.ReadFile(real)
		if err != nil {
			return "", err
		}
		return read(b, name, key)
	}
}

// propertiesFiles gives properties of files: ${file:PATH:KEY}.
func propertiesFiles(allowed string) provider {
	return files(allowed, func(path, _ string) (string, error) { return path, nil }, func(b []byte, path, key string) (string, error) {
		l := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
		p, err := l.LoadBytes(b)
		if err != nil {
			return "", fmt.Errorf("%s is no properties file", path)
		}
		value, ok := p.Get(key)
		if !ok {
			return "", fmt.Errorf("%s has no %s", path, key)
		}
		return value, nil
	})
}

// directoryFiles gives what is in the files of a folder: ${directory:PATH:NAME}.
func directoryFiles(allowed string) provider {
	return files(allowed, func(path, key string) (string, error) {
		if key != filepath.Base(key) || key == ".." {
			return "", fmt.Errorf("%s is no file's name", key)
		}
		return filepath.Join(path, key), nil
	}, func(b []byte, _, _ string) (string, error) { return string(b), nil })
}

func within(path string, roots []string) bool {
	for _, root := range roots {
		real, err := filepath.EvalSymlinks(strings.TrimSpace(root))
		if err != nil {
			continue
		}
		if rel, err := filepath.Rel(real, path); err == nil && filepath.IsLocal(rel) {
			return true
		}
	}
	return false
}
