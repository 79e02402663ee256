// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	common "github.com/redpanda-data/benthos/v4/public/schema"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/xeipuuv/gojsonschema"
	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"

	_ "github.com/kommo-connect/kommo-connect/plugin/message"
)

// The messages that the processor's test cases expect fit the schema.
func TestKommoMessage_TestCasesFitTheSchema(t *testing.T) {
	content, err := os.ReadFile("kommo_message_test.yaml")
	require.NoError(t, err)
	var file struct {
		Tests []struct {
			Name          string             `yaml:"name"`
			OutputBatches [][]map[string]any `yaml:"output_batches"`
		} `yaml:"tests"`
	}
	require.NoError(t, yaml.Unmarshal(content, &file))
	require.NotEmpty(t, file.Tests)
	schema := loadSchema(t)
	for _, test := range file.Tests {
		requireFits(t, schema, test.OutputBatches[0][0]["json_equals"], test.Name)
	}
}

// Every field of the processor's is in all that lists them: what one of them lacks is
// lost there without a word.
func TestKommoMessage_EveryFieldIsListed(t *testing.T) {
	m := process(t, owned(t, ""), `{}`)
	as, ok := m.MetaGetMut("schema")
	require.True(t, ok)
	root, err := common.ParseFromAny(as)
	require.NoError(t, err)
	fields := []string{"extra"} // which the metadata's schema has no type for
	for _, child := range root.Children {
		fields = append(fields, child.Name)
	}
	slices.Sort(fields)

	var jsonSchema struct {
		Properties map[string]any `json:"properties"`
	}
	var template struct {
		Template struct {
			Mappings struct {
				Properties map[string]any `json:"properties"`
			} `json:"mappings"`
		} `json:"template"`
	}
	read(t, "kommo_message.schema.json", &jsonSchema)
	read(t, "kommo_message.template.json", &template)
	assert.Equal(t, fields, slices.Sorted(maps.Keys(jsonSchema.Properties)), "kommo_message.schema.json")
	delete(template.Template.Mappings.Properties, "@timestamp") // which the examples add
	assert.Equal(t, fields, slices.Sorted(maps.Keys(template.Template.Mappings.Properties)), "kommo_message.template.json")

	page, err := os.ReadFile("../docs/schema.md")
	require.NoError(t, err)
	for _, field := range fields {
		if !strings.Contains(string(page), "`"+field+"`") {
			t.Errorf("docs/schema.md lacks %s", field)
		}
	}
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, into), path)
}

// Whatever an item holds, the processor gives a message that fits the schema.
func TestKommoMessage_FitsTheSchema(t *testing.T) {
	with, without, schema := owned(t, ""), owned(t, "personal_data: false"), loadSchema(t)
	rapid.Check(t, func(t *rapid.T) {
		content, err := json.Marshal(anyItem().Draw(t, "item"))
		require.NoError(t, err)
		for _, p := range []*service.OwnedProcessor{with, without} {
			message, err := process(t, p, string(content)).AsStructured()
			require.NoError(t, err)
			requireFits(t, schema, message, "message")
		}
	})
}

// anyItem draws objects that have keys of both APIs' items, with values of every kind.
func anyItem() *rapid.Generator[map[string]any] {
	scalar := rapid.OneOf(
		rapid.SampledFrom([]any{nil, "", "20480", 1700000000123, 1700000000, 1e300, true, "incoming", "internal", "bot", map[string]any{}, []any{}}),
		rapid.Map(rapid.String(), func(v string) any { return v }), rapid.Map(rapid.Int64(), func(v int64) any { return v }),
		rapid.Map(rapid.Float64Range(-200, 200), func(v float64) any { return v }),
	)
	keys := rapid.SampledFrom(strings.Fields(`timestamp msec_timestamp sender receiver message id name client_id avatar phone email type text media
		thumbnail file_name file_size media_group_id location contact lat lon chat_id message_type author recipient created_at delivery_status attachment
		link avatar_url user_id new`))
	value := scalar
	for range 3 {
		value = rapid.OneOf(value, rapid.Map(rapid.MapOfN(keys, value, 0, 12), func(v map[string]any) any { return v }))
	}
	return rapid.MapOfN(keys, value, 0, 12)
}

func loadSchema(t require.TestingT) *gojsonschema.Schema {
	content, err := os.ReadFile("kommo_message.schema.json")
	require.NoError(t, err)
	schema, err := gojsonschema.NewSchema(gojsonschema.NewBytesLoader(content))
	require.NoError(t, err)
	return schema
}

func requireFits(t require.TestingT, schema *gojsonschema.Schema, message any, name string) {
	result, err := schema.Validate(gojsonschema.NewGoLoader(message))
	require.NoError(t, err, name)
	require.Empty(t, result.Errors(), name)
}

// owned returns the processor as a pipeline has it, with some of its fields.
func owned(t *testing.T, fields string) *service.OwnedProcessor {
	t.Helper()
	spec := service.NewConfigSpec().Field(service.NewProcessorField("of"))
	conf, err := spec.ParseYAML("of: { kommo_message: {"+fields+"} }", nil)
	require.NoError(t, err)
	p, err := conf.FieldProcessor("of")
	require.NoError(t, err)
	return p
}

// process runs the processor over an item.
func process(t interface {
	require.TestingT
	Context() context.Context
}, p *service.OwnedProcessor, item string,
) *service.Message {
	batch, err := p.Process(t.Context(), service.NewMessage([]byte(item)))
	require.NoError(t, err)
	require.NoError(t, batch[0].GetError())
	return batch[0]
}
