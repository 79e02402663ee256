// SPDX-License-Identifier: Apache-2.0

package message_test

import (
	"encoding/json"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/schema"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whatever an item holds, its document is of the schema that its metadata names,
// but for extra.
func TestSchema_FitsEveryDocument(t *testing.T) {
	t.Parallel()
	for _, p := range []*service.OwnedProcessor{processor(t, ""), processor(t, "personal_data: false")} {
		rapid.Check(t, func(t *rapid.T) {
			item, meta := anyOfEither(t)
			m, err := process(t, p, newMessage(item, meta))
			require.NoError(t, err)
			as, ok := m.MetaGetMut("schema")
			require.True(t, ok)
			root, err := schema.ParseFromAny(as)
			require.NoError(t, err)
			require.Equal(t, "kommo_message", root.Name)

			message := body(t, m)
			delete(message, "extra")
			requireOf(t, root, message)
		})
	}
}

func requireOf(t T, c schema.Common, v any) {
	t.Helper()
	switch c.Type {
	case schema.Object:
		object, ok := v.(map[string]any)
		require.True(t, ok, c.Name)
		n := 0
		for _, child := range c.Children {
			if v, ok := object[child.Name]; ok {
				requireOf(t, child, v)
				n++
			} else {
				require.True(t, child.Optional, child.Name)
			}
		}
		require.Len(t, object, n, "every key is in the schema")
	case schema.String:
		require.IsType(t, "", v, c.Name)
	case schema.Int64:
		_, err := v.(json.Number).Int64() //nolint:forcetypeassert // or the test fails
		require.NoError(t, err, c.Name)
	case schema.Float64:
		_, err := v.(json.Number).Float64() //nolint:forcetypeassert // or the test fails
		require.NoError(t, err, c.Name)
	default:
		require.Fail(t, "a type that the encoders may not know", c.Type.String())
	}
}
