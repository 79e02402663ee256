// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"
	"gopkg.in/yaml.v3"
)

// spec is the part of a component's published JSON that a page shows.
type spec struct {
	Name        string    `json:"name"`
	Type        string    `json:"type"`
	Status      string    `json:"status"`
	Summary     string    `json:"summary"`
	Description string    `json:"description"`
	Footnotes   string    `json:"footnotes"`
	Examples    []example `json:"examples"`
	Config      field     `json:"config"`
}

type example struct {
	Title   string `json:"title"`
	Summary string `json:"summary"`
	Config  string `json:"config"`
}

type field struct {
	Name         string          `json:"name"`
	Type         string          `json:"type"`
	Kind         string          `json:"kind"`
	Description  string          `json:"description"`
	Default      json.RawMessage `json:"default"`
	Examples     []any           `json:"examples"`
	Options      []string        `json:"options"`
	Annotated    [][2]string     `json:"annotated_options"`
	Optional     bool            `json:"is_optional"`
	Deprecated   bool            `json:"is_deprecated"`
	Secret       bool            `json:"is_secret"`
	Interpolated bool            `json:"interpolated"`
	Children     []field         `json:"children"`
}

func renderPage(view *service.ConfigView) ([]byte, error) {
	raw, err := view.FormatJSON()
	if err != nil {
		return nil, fmt.Errorf("reading the spec: %w", err)
	}
	var s spec
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("parsing the spec: %w", err)
	}
	data, err := view.TemplateData()
	if err != nil {
		return nil, fmt.Errorf("making the example configs: %w", err)
	}

	var b strings.Builder
	fmt.Fprintf(&b, "<!-- Written by make docs from the component's spec. Do not edit. -->\n\n# %s `%s`\n", s.Type, s.Name)
	paragraph(&b, s.Summary)
	fmt.Fprintf(&b, "\n```yaml\n%s```\n", data.CommonConfigYAML)
	if data.AdvancedConfigYAML != data.CommonConfigYAML {
		fmt.Fprintf(&b, "\nWith every field:\n\n```yaml\n%s```\n", data.AdvancedConfigYAML)
	}
	paragraph(&b, s.Description)

	if len(s.Examples) > 0 {
		b.WriteString("\n## Examples\n")
	}
	for _, e := range s.Examples {
		fmt.Fprintf(&b, "\n### %s\n", e.Title)
		paragraph(&b, e.Summary)
		fmt.Fprintf(&b, "\n```yaml\n%s\n```\n", strings.Trim(e.Config, "\n"))
	}

	b.WriteString("\n## Fields\n")
	if err := fields(&b, "", s.Config.Children); err != nil {
		return nil, err
	}
	paragraph(&b, s.Footnotes)
	return []byte(b.String()), nil
}

func paragraph(b *strings.Builder, text string) {
	if text = strings.TrimSpace(text); text != "" {
		fmt.Fprintf(b, "\n%s\n", text)
	}
}

func fields(b *strings.Builder, parent string, list []field) error {
	for i := range list {
		f := &list[i]
		if f.Deprecated {
			continue
		}
		fmt.Fprintf(b, "\n### `%s`\n", parent+f.Name)
		paragraph(b, f.Description)
		fmt.Fprintf(b, "\n%s\n", f.facts())
		for _, o := range f.Annotated {
			fmt.Fprintf(b, "\n- `%s`: %s", o[0], o[1])
		}
		if len(f.Annotated) > 0 {
			b.WriteString("\n")
		}
		if err := f.examples(b); err != nil {
			return fmt.Errorf("field %s: %w", parent+f.Name, err)
		}
		path := parent + f.Name
		switch f.Kind {
		case "array":
			path += "[]"
		case "map":
			path += ".<name>"
		}
		if err := fields(b, path+".", f.Children); err != nil {
			return err
		}
	}
	return nil
}

// facts is one line: the type, and whether a value is needed.
func (f *field) facts() string {
	facts := []string{"Type: " + f.typeName()}
	switch {
	case len(f.Default) > 0:
		facts = append(facts, "default: `"+string(f.Default)+"`")
	case f.Optional:
		facts = append(facts, "optional")
	case len(f.Children) == 0:
		facts = append(facts, "required")
	}
	if len(f.Options) > 0 && len(f.Annotated) == 0 {
		facts = append(facts, "one of `"+strings.Join(f.Options, "`, `")+"`")
	}
	if f.Interpolated {
		facts = append(facts, "may contain interpolation functions")
	}
	if f.Secret {
		facts = append(facts, "secret: keep it in an environment variable")
	}
	return strings.Join(facts, "; ") + "."
}

func (f *field) typeName() string {
	switch f.Kind {
	case "array":
		return "list of " + f.Type
	case "map":
		return "map of " + f.Type
	}
	if f.Type == "unknown" {
		return "any"
	}
	return f.Type
}

func (f *field) examples(b *strings.Builder) error {
	if len(f.Examples) == 0 {
		return nil
	}
	b.WriteString("\n```yaml\n")
	for _, e := range f.Examples {
		out, err := yaml.Marshal(map[string]any{f.Name: e})
		if err != nil {
			return fmt.Errorf("writing an example: %w", err)
		}
		b.Write(out)
	}
	b.WriteString("```\n")
	return nil
}
