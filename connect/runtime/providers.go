package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/magiconair/properties"

	"github.com/weir/weir/connect/sdk"
)

// providers know what configurations refer to, as ${NAME:PATH:KEY} or ${NAME:KEY} (KIP-297): config.providers of the worker.
type providers struct{ byName map[string]provider }

// provider gives a value. The error says what is wrong, without values.
type provider func(path, key string) (string, error)

var reference = regexp.MustCompile(`\$\{([^}]*?):(?:([^}]*?):)?([^}]*?)\}`)

func newProviders(options map[string]string) (*providers, error) {
	p := &providers{map[string]provider{}}
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
			p.byName[name] = files(params["allowed.paths"], fromProperties)
		case "DirectoryConfigProvider":
			p.byName[name] = files(params["allowed.paths"], fromDirectory)
		default:
			err = fmt.Errorf("there is no config provider %q: choose EnvVarConfigProvider, FileConfigProvider or DirectoryConfigProvider", class)
		}
		if err != nil {
			return nil, fmt.Errorf("%sclass: %w", prefix, err)
		}
	}
	return p, nil
}

func (p *providers) resolve(config map[string]string) (map[string]string, error) {
	out := make(map[string]string, len(config))
	for option, value := range config {
		var failed error
		out[option] = reference.ReplaceAllStringFunc(value, func(ref string) string {
			parts := reference.FindStringSubmatch(ref)
			get := p.byName[parts[1]]
			if get == nil {
				return ref
			}
			got, err := get(parts[2], parts[3])
			if err != nil && failed == nil {
				failed = fmt.Errorf("%s refers to %s: %w", option, ref, err)
			}
			return got
		})
		if failed != nil {
			return nil, sdk.Misconfigured("%w", failed)
		}
	}
	return out, nil
}

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

// files reads from files under allowed paths; "": all.
func files(allowed string, read func(path, key string) (string, error)) provider {
	return func(path, key string) (string, error) {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			return "", fmt.Errorf("there is no %s", path)
		}
		if allowed != "" && !within(real, strings.Split(allowed, ",")) {
			return "", fmt.Errorf("%s is not under allowed.paths", path)
		}
		return read(real, key)
	}
}

func within(path string, roots []string) bool {
	for _, root := range roots {
		real, err := filepath.EvalSymlinks(strings.TrimSpace(root))
		if err != nil {
			continue
		}
		if rel, err := filepath.Rel(real, path); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			return true
		}
	}
	return false
}

func fromProperties(path, key string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
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
}

func fromDirectory(path, key string) (string, error) {
	if key != filepath.Base(key) || key == ".." {
		return "", fmt.Errorf("%s is no file's name", key)
	}
	b, err := os.ReadFile(filepath.Join(path, key))
	if err != nil {
		return "", fmt.Errorf("%s has no readable file %s", path, key)
	}
	return string(b), nil
}
