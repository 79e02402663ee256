// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"
	"gopkg.in/yaml.v3"

	"github.com/kommo-connect/kommo-connect/internal/lintinfo"
)

// configs are the configurations that a command line names. They are read when
// they are first asked for: by then the engine has read the files of variables.
type configs struct {
	args []string

	once  sync.Once
	paths []string
	texts map[string]string // by path
	unset []string          // variables

	caches, rateLimits []string // labels
	known              bool     // whether those are all that there can be
}

func (c *configs) load() *configs {
	c.once.Do(func() {
		c.paths = namedFiles(c.args)
		c.texts, c.unset = readConfigs(c.paths)
		c.known = true
		for path, text := range c.texts {
			var resources struct {
				Caches     []struct{ Label string } `yaml:"cache_resources"`
				RateLimits []struct{ Label string } `yaml:"rate_limit_resources"`
			}
			if filepath.Ext(path) == ".md" || yaml.Unmarshal([]byte(text), &resources) != nil {
				c.known = false // a page of documentation, or what the engine reports
			}
			for _, r := range resources.Caches {
				c.caches = append(c.caches, r.Label)
			}
			for _, r := range resources.RateLimits {
				c.rateLimits = append(c.rateLimits, r.Label)
			}
		}
	})
	return c
}

// tell tells the lint rules what they can't see. Which resources there are only
// the lint needs to be told: a start finds out. A test lints without the variables
// that its cases set.
func (c *configs) tell(command string) {
	info := lintinfo.Info{VariablesSet: func() bool {
		return command != "test" && len(c.load().paths) > 0 && len(c.unset) == 0
	}}
	if command == "lint" {
		info.HasCache = func(label string) bool { return !c.load().known || slices.Contains(c.caches, label) }
		info.HasRateLimit = func(label string) bool { return !c.load().known || slices.Contains(c.rateLimits, label) }
	}
	lintinfo.Tell(info)
}

// lintTypes reports the inputs for which the engine calls no lint rule, because a
// field has a value of another type, such as a word for a number. It tells whether
// there are any.
func (c *configs) lintTypes(out io.Writer) (found bool) {
	rule, err := bloblang.Parse(`root = kommo_lint(this.name, this.config, true)`)
	if err != nil {
		fmt.Fprintln(out, err)
		return true
	}
	walker := schema().NewStreamConfigWalker()
	for _, path := range c.load().paths {
		if filepath.Ext(path) == ".md" || strings.HasPrefix(c.texts[path], "# BENTHOS LINT DISABLE") {
			continue
		}
		_ = walker.WalkComponentsYAML([]byte(c.texts[path]), func(component *service.WalkedComponent) error {
			if component.ComponentType != "input" || !strings.HasPrefix(component.Name, "kommo_") {
				return nil
			}
			config, _ := component.ConfigAny()
			fields, ok := config.(map[string]any)
			if !ok {
				return nil // the engine reports it
			}
			sentences, err := rule.Query(map[string]any{"name": component.Name, "config": fields[component.Name]})
			if err != nil {
				return err
			}
			for _, sentence := range sentences.([]any) { //nolint:forcetypeassert // that is what the function returns
				found = true
				fmt.Fprintf(out, "%s(%d,1) %s\n", path, component.LineStart, sentence)
			}
			return nil
		})
	}
	return found
}
