// SPDX-License-Identifier: Apache-2.0

package message

import "github.com/redpanda-data/benthos/v4/public/schema"

// commonSchema returns the fields in the common form of Benthos, as CDC inputs give
// it in the metadata schema: schema_registry_encode and parquet_encode read it.
//
// extra is not in it: it may hold anything, and Parquet has no type for that. Times
// are text, for a reader of Avro takes no text for a timestamp.
func commonSchema(personal bool) any {
	root := schema.Common{Name: name, Type: schema.Object}
	for i := range fields {
		f := &fields[i]
		if f.kind == schema.Any || f.personal && !personal {
			continue
		}
		c := schema.Common{Name: f.name, Type: f.kind, Optional: !always(field(i))}
		if f.kind == schema.Object {
			c.Children = []schema.Common{
				{Name: "lat", Type: schema.Float64},
				{Name: "lon", Type: schema.Float64},
			}
		}
		root.Children = append(root.Children, c)
	}
	return root.ToAny()
}

// always says that every message has the field.
func always(f field) bool { return f == schemaVersion || f == messageID }
