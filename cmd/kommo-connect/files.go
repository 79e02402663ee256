// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// defaultPaths are where a configuration is looked for that no argument names.
var defaultPaths = []string{name + ".yaml", "config/" + name + ".yaml", "/" + name + ".yaml", "/etc/" + name + "/config.yaml"}

// namedFiles returns the files that a command line names, by themselves, by a
// pattern, by dir/... or, for streams, by their folder, and where it names none
// the first of defaultPaths. It takes whatever is a file for one of them: what it
// finds only helps to say the right thing about a configuration that is wrong.
func namedFiles(args []string) []string {
	var files []string
	add := func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && isConfig(path) {
			files = append(files, path)
		}
		return nil // the engine reports what it can't read
	}
	for _, arg := range args {
		if flag, value, ok := strings.Cut(arg, "="); ok && strings.HasPrefix(flag, "-") {
			arg = value
		}
		paths := strings.Split(arg, ",") // as the engine's flags do
		if _, err := os.Stat(arg); err == nil {
			paths = []string{arg}
		}
		for _, path := range paths {
			if tree, ok := strings.CutSuffix(path, "..."); ok {
				_ = filepath.WalkDir(filepath.Clean(tree), add)
				continue
			}
			matches, _ := filepath.Glob(path)
			for _, match := range matches {
				_ = filepath.WalkDir(match, add)
			}
		}
	}
	if len(files) == 0 {
		if i := slices.IndexFunc(defaultPaths, func(path string) bool { _, err := os.Stat(path); return err == nil }); i >= 0 {
			files = append(files, defaultPaths[i])
		}
	}
	return files
}

func isConfig(path string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".md"}, filepath.Ext(path))
}

// variable is a reference to a variable of the environment, with a default or
// without, as the engine reads it.
var variable = regexp.MustCompile(`\${([0-9A-Za-z_.]+)(:((\${[^}]+})|[^}])*)?(?:\|[0-9A-Za-z]+)?}`)

// expand puts the values of variables into a configuration, as the engine does, and
// returns which are not set and have no default.
func expand(text string) (expanded string, unset []string) {
	return variable.ReplaceAllStringFunc(text, func(reference string) string {
		parts := variable.FindStringSubmatch(reference)
		value, ok := os.LookupEnv(parts[1])
		if !ok && parts[2] == "" {
			unset = append(unset, parts[1])
		}
		if value == "" {
			value = strings.TrimPrefix(parts[2], ":")
		}
		return strings.ReplaceAll(value, "\n", `\n`)
	}), unset
}

// readConfigs returns the files with the values of variables in them, by their paths.
func readConfigs(paths []string) (texts map[string]string, unset []string) {
	texts = map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the engine reports it
		}
		expanded, missing := expand(string(text))
		texts[path] = expanded
		unset = append(unset, missing...)
	}
	return texts, unset
}
