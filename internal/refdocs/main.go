// SPDX-License-Identifier: Apache-2.0

// Command refdocs writes a reference page for each component of the plugin from
// the spec that the component registers, so that page and program agree.
//
//	go run ./internal/refdocs -dir docs/reference          writes the pages
//	go run ./internal/refdocs -dir docs/reference -check   fails if one is stale
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"

	_ "github.com/kommo-connect/kommo-connect/plugin"
)

// prefix tells the plugin's components from those of Benthos.
const prefix = "kommo_"

func main() {
	dir := flag.String("dir", "docs/reference", "folder of the pages")
	check := flag.Bool("check", false, "compare instead of writing, and fail on a difference")
	flag.Parse()

	if err := run(*dir, *check); err != nil {
		fmt.Fprintln(os.Stderr, "refdocs:", err)
		os.Exit(1)
	}
}

func run(dir string, check bool) error {
	pages, err := render(service.GlobalEnvironment())
	if err != nil {
		return err
	}
	if check {
		return compare(dir, pages)
	}
	return write(dir, pages)
}

// render returns the pages by file name.
func render(env *service.Environment) (map[string][]byte, error) {
	pages := map[string][]byte{}
	var errs []error
	add := func(name string, view *service.ConfigView) {
		if !strings.HasPrefix(name, prefix) {
			return
		}
		page, err := renderPage(view)
		if err != nil {
			errs = append(errs, fmt.Errorf("rendering %s: %w", name, err))
			return
		}
		pages[name+".md"] = page
	}
	env.WalkInputs(add)
	env.WalkProcessors(add)
	env.WalkOutputs(add)
	env.WalkCaches(add)
	env.WalkRateLimits(add)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(pages) == 0 {
		return nil, fmt.Errorf("no component with the prefix %s is registered", prefix)
	}
	return pages, nil
}

func write(dir string, pages map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the folder of the pages: %w", err)
	}
	for name, page := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), page, 0o644); err != nil {
			return fmt.Errorf("writing a page: %w", err)
		}
	}
	return nil
}

// compare returns an error that names every page that is missing, stale, or of
// a component that is no more.
func compare(dir string, pages map[string][]byte) error {
	var bad []string
	for name, page := range pages {
		old, err := os.ReadFile(filepath.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			bad = append(bad, name+" is missing")
		case err != nil:
			return fmt.Errorf("reading a page: %w", err)
		case !bytes.Equal(old, page):
			bad = append(bad, name+" is stale")
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, prefix+"*.md"))
	if err != nil {
		return fmt.Errorf("listing the pages: %w", err)
	}
	for _, f := range files {
		if _, ok := pages[filepath.Base(f)]; !ok {
			bad = append(bad, filepath.Base(f)+" describes no component")
		}
	}
	if len(bad) > 0 {
		sort.Strings(bad)
		return fmt.Errorf("%s: run make docs", strings.Join(bad, ", "))
	}
	return nil
}
