// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// LoadJSON adds the chats of a JSON object, in its order: each key is a chat's
// id, each value the list of its items, oldest first. Items are kept byte for
// byte. On an error the chats before the faulty one have been added.
func (s *Server) LoadJSON(r io.Reader) error {
	decoder := json.NewDecoder(r)
	if err := expect(decoder, '{', "an object of chat ids"); err != nil {
		return err
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return fmt.Errorf("reading a chat id: %w", err)
		}
		id := key.(string) //nolint:forcetypeassert // the decoder refuses any other key
		if id == "" {
			return errors.New("reading a chat id: it is empty")
		}
		if err := expect(decoder, '[', "a list of items"); err != nil {
			return fmt.Errorf("chat %s: %w", id, err)
		}
		s.Append(id)
		for n := 0; decoder.More(); n++ {
			var item json.RawMessage
			if err := decoder.Decode(&item); err != nil {
				return fmt.Errorf("reading item %d of chat %s: %w", n, id, err)
			}
			s.Append(id, item)
		}
		if err := expect(decoder, ']', "the end of the list"); err != nil {
			return fmt.Errorf("chat %s: %w", id, err)
		}
	}
	if err := expect(decoder, '}', "the end of the object"); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("reading the seed: there is more behind its object")
	}
	return nil
}

func expect(decoder *json.Decoder, want json.Delim, what string) error {
	token, err := decoder.Token()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("reading %s: %w", what, err)
	}
	if token != want {
		return fmt.Errorf("reading %s: want %q, got %v", what, want.String(), token)
	}
	return nil
}
