// SPDX-License-Identifier: Apache-2.0

package listing

// CheckCheckpoint returns why a value that a [Store] kept is not a whole
// checkpoint, or nil if it is one.
func CheckCheckpoint(value []byte) error {
	if _, err := decodeShard(value); err == nil {
		return nil
	}
	_, _, _, err := decodeState(value)
	return err
}
