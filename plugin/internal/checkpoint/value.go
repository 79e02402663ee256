// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Versioned is embedded first in the JSON of every checkpoint.
type Versioned struct {
	Version int `json:"version"`
}

func (v Versioned) check(version int) error {
	if v.Version != version {
		return fmt.Errorf("decoding a checkpoint: it has version %d, this build reads version %d", v.Version, version)
	}
	return nil
}

// Encode writes a checkpoint as JSON.
func Encode(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding a checkpoint: %w", err)
	}
	return b, nil
}

// Decode reads what Encode wrote of a version. Anything else, the empty and the half
// written value included, is an error: it must not be mistaken for progress that was never
// made, and what another version means can't be known.
func Decode(b []byte, version int, into interface{ check(version int) error }) error {
	if len(bytes.TrimSpace(b)) == 0 {
		return errors.New("decoding a checkpoint: it is empty")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("decoding a checkpoint: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("decoding a checkpoint: something follows its JSON")
	}
	return into.check(version)
}
