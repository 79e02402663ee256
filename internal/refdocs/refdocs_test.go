// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// environment has one component of each kind of field.
func environment(t *testing.T) *service.Environment {
	t.Helper()
	env := service.NewEmptyEnvironment()
	spec := service.NewConfigSpec().
		Summary("Reads things.").
		Description("More on things.").
		Fields(
			service.NewStringField("id").Description("Names a thing.").Example("thing-1"),
			service.NewStringField("key").Description("Signs.").Secret().Optional(),
			service.NewIntField("size").Description("How many.").Default(50),
			service.NewStringEnumField("from", "oldest", "latest").Description("Where.").Default("oldest"),
			service.NewStringListField("names").Description("Some names.").Default([]any{}),
			service.NewObjectField("pause", service.NewDurationField("first").Description("At first.").Default("1s")),
			service.NewStringField("old").Description("Gone.").Optional().Deprecated(),
		).
		Example("One thing", "Reads it.", "input:\n  kommo_things:\n    id: a\n")
	require.NoError(t, env.RegisterInput("kommo_things", spec,
		func(*service.ParsedConfig, *service.Resources) (service.Input, error) {
			return nil, errors.New("not built")
		}))
	require.NoError(t, env.RegisterInput("other", service.NewConfigSpec(),
		func(*service.ParsedConfig, *service.Resources) (service.Input, error) {
			return nil, errors.New("not built")
		}))
	return env
}

func TestRender_ShowsWhatAUserNeedsOfEachField(t *testing.T) {
	t.Parallel()
	pages, err := render(environment(t))
	require.NoError(t, err)
	require.Len(t, pages, 1, "only the plugin's components have a page")
	page := string(pages["kommo_things.md"])
	for _, want := range []string{
		"# input `kommo_things`\n\nReads things.\n",
		"\nMore on things.\n",
		"### One thing\n\nReads it.\n\n```yaml\ninput:\n  kommo_things:\n    id: a\n```\n",
		"### `id`\n\nNames a thing.\n\nType: string; required.\n\n```yaml\nid: thing-1\n```\n",
		"### `key`\n\nSigns.\n\nType: string; optional; secret: keep it in an environment variable.\n",
		"### `size`\n\nHow many.\n\nType: int; default: `50`.\n",
		"### `from`\n\nWhere.\n\nType: string; default: `\"oldest\"`; one of `oldest`, `latest`.\n",
		"### `names`\n\nSome names.\n\nType: list of string; default: `[]`.\n",
		"### `pause.first`\n\nAt first.\n\nType: string; default: `\"1s\"`.\n",
	} {
		assert.Contains(t, page, want)
	}
	assert.NotContains(t, page, "`old`")
}

func TestCompare_NamesEveryPageThatIsOff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pages := map[string][]byte{"kommo_a.md": []byte("a"), "kommo_b.md": []byte("b"), "kommo_c.md": []byte("c")}
	require.NoError(t, write(dir, pages))
	require.NoError(t, compare(dir, pages))

	require.NoError(t, os.WriteFile(filepath.Join(dir, "kommo_a.md"), []byte("old"), 0o600))
	require.NoError(t, os.Remove(filepath.Join(dir, "kommo_b.md")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kommo_gone.md"), nil, 0o600))
	assert.EqualError(t, compare(dir, pages),
		"kommo_a.md is stale, kommo_b.md is missing, kommo_gone.md describes no component: run make docs")
}
