// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"
	"gopkg.in/yaml.v3"

	"github.com/kommo-connect/kommo-connect/internal/lintinfo"
)

// A lint rule is Bloblang, and what makes a configuration wrong is Go: the reading
// that the input does when it is built. So that there is one truth, and one wording,
// the rule of an input is a call of the Bloblang function lintFunction, which does
// that reading on the fields as they are written.

const lintFunction = "kommo_lint"

// lintRule is the lint rule of an input.
func lintRule(input string) string { return fmt.Sprintf("root = %s(%q, this)", lintFunction, input) }

// lintable is an input as its lint rule sees it.
type lintable struct {
	spec *service.ConfigSpec
	// standIns are values for the fields that have to be there, so that the others
	// can be read where one is missing.
	standIns map[string]any
	// read reads the configuration and leaves what is wrong with it in the reader.
	read func(r *fieldReader, labels labels)
}

// lintables is a function, because a variable would have to exist before itself.
func lintables(input string) (lintable, bool) {
	switch input {
	case inputName:
		return lintable{
			spec:     inputSpec(),
			standIns: map[string]any{fieldScopeID: "channel_account", fieldChannelSecret: "secret"},
			read:     func(r *fieldReader, l labels) { readInputConfig(r, l) },
		}, true
	case chatsName:
		return lintable{
			spec:     chatsSpec(),
			standIns: map[string]any{fieldAPIURL: "https://example.kommo.com", fieldAccessToken: "token"},
			read:     func(r *fieldReader, l labels) { readChatsConfig(r, l) },
		}, true
	}
	return lintable{}, false
}

// A variable, not an init function: specs are made in init functions, and parse
// their rules.
var _ = registerLint(lintFunction)

// registerLint returns the name that it has registered.
func registerLint(name string) string {
	spec := bloblang.NewPluginSpec().
		Category("Plugin").
		Description("Returns what is wrong with the configuration of a Kommo input. It serves the lint rules of these inputs.").
		Param(bloblang.NewStringParam("input").Description("The name of the input.")).
		Param(bloblang.NewAnyParam("config").Description("Its fields.")).
		Param(bloblang.NewBoolParam("mistyped").Default(false).
			Description("Say something only of a configuration in which a field has a value of another type. The engine's linter calls no rule for such."))
	bloblang.MustRegisterFunctionV2(name, spec, func(args *bloblang.ParsedParams) (bloblang.Function, error) {
		input, err := args.GetString("input")
		if err != nil {
			return nil, err
		}
		config, err := args.Get("config")
		if err != nil {
			return nil, err
		}
		only, err := args.GetBool("mistyped")
		if err != nil {
			return nil, err
		}
		return func() (any, error) {
			found := []any{}
			if config, ok := config.(map[string]any); ok {
				mistyped, wrong := lint(input, config)
				if only && len(mistyped) == 0 {
					wrong = nil
				}
				for _, err := range append(mistyped, wrong...) {
					found = append(found, err.Error())
				}
			}
			return found, nil
		}, nil
	})
	return name
}

// lint returns what is wrong with the fields of an input: those with a value of
// another type first. Missing and unknown fields, and lists and objects that are
// none, are the engine's to report.
func lint(input string, config map[string]any) (mistyped, wrong []error) {
	l, ok := lintables(input)
	if !ok {
		return nil, []error{fmt.Errorf("%s: there is no input with the name %q", lintFunction, input)}
	}
	config = maps.Clone(config)
	set, known := lintinfo.Variables()
	listed := config[fieldChats]
	if !set {
		dropEmpty(config)
	}

	for _, field := range slices.Sorted(maps.Keys(config)) {
		_, err := l.parse(map[string]any{field: config[field]})
		if err == nil {
			continue
		}
		if err := typeError(field, err); err != nil {
			mistyped = append(mistyped, err)
		}
		if delete(config, field); field == fieldChatsInput {
			config[field] = map[string]any{"stdin": map[string]any{}}
		}
	}
	if _, named := config[fieldChatsInput]; input == inputName && !named && config[fieldChats] == nil {
		// What is listed is not known here, or is reported already. A list without
		// entries is the same as none; without news of variables it is taken for that.
		if entries, ok := listed.([]any); !ok || len(entries) > 0 || (known && !set) {
			config[fieldChats] = []any{"chat"}
		}
	}

	conf, err := l.parse(config)
	if err != nil {
		return mistyped, nil // the engine reports it
	}
	r := &fieldReader{conf: conf, linting: true}
	l.read(r, lintinfo.Labels{})
	return mistyped, r.errs
}

// parse parses fields, and stand-ins for those that have to be there.
func (l lintable) parse(config map[string]any) (*service.ParsedConfig, error) {
	all := maps.Clone(l.standIns)
	maps.Copy(all, config)
	text, err := yaml.Marshal(all)
	if err != nil {
		return nil, err
	}
	return l.spec.ParseYAML(string(text), nil)
}

// dropEmpty removes what may be empty because a variable is not set.
func dropEmpty(config map[string]any) {
	empty := func(v any) bool { return v == nil || v == "" }
	for field, v := range config {
		switch v := v.(type) {
		case []any:
			if v = slices.DeleteFunc(slices.Clone(v), empty); len(v) == 0 {
				delete(config, field)
			} else {
				config[field] = v
			}
		case map[string]any:
			if v = maps.Clone(v); len(v) > 0 {
				dropEmpty(v)
				config[field] = v
			}
		default:
			if empty(v) {
				delete(config, field)
			}
		}
	}
}

var wrongScalar = regexp.MustCompile("cannot unmarshal !!\\w+ (?:`.*` )?into (int|float64|bool)\\b")

// typeError returns what the engine says of a field when it builds the input, with
// what to do; nil if its linter says it.
func typeError(field string, err error) error {
	m := wrongScalar.FindStringSubmatch(err.Error())
	if m == nil {
		return nil
	}
	want := map[string]string{"int": "a whole number", "float64": "a number", "bool": "true or false"}[m[1]]
	return fmt.Errorf("%s: %s: want %s", field, m[0], want)
}

// elsewhere tells whether an error is of a file. A configuration is often linted on
// another machine than the one that runs it.
func elsewhere(err error) bool {
	var file *fs.PathError
	return errors.As(err, &file)
}
