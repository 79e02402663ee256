// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadBody_WhateverTheContentLengthSays(t *testing.T) {
	const text = "0123456789"
	for _, said := range []int64{-1, 0, 3, 10, 11, 100, maxPiece + 1} {
		for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
			body, err := readBody(&http.Response{ContentLength: said, Body: io.NopCloser(r)}, 10<<20)
			require.NoError(t, err)
			assert.Equal(t, text, string(body))
		}
		_, err := readBody(&http.Response{ContentLength: said, Body: io.NopCloser(strings.NewReader(text))}, 9)
		assert.ErrorIs(t, err, ErrTooLarge, "said %d", said)
	}
}

func TestReadBody_OfAnyLength(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, maxPiece - 1, maxPiece, maxPiece + 1, 3*maxPiece - 1, 3 * maxPiece} {
		text := strings.Repeat("abcdefg", n/7+1)[:n]
		body, err := readBody(&http.Response{ContentLength: -1, Body: io.NopCloser(strings.NewReader(text))}, 3*maxPiece)
		require.NoError(t, err)
		assert.Equal(t, text, string(body))
		_, err = readBody(&http.Response{ContentLength: -1, Body: io.NopCloser(strings.NewReader(text + "x"))}, int64(n))
		require.ErrorIs(t, err, ErrTooLarge)
		broken := io.MultiReader(strings.NewReader(text), iotest.ErrReader(io.ErrUnexpectedEOF))
		body, err = readBody(&http.Response{ContentLength: -1, Body: io.NopCloser(broken)}, 3*maxPiece+1)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.Len(t, body, n)
	}
}

func TestOwnWords(t *testing.T) {
	for body, want := range map[string]string{
		``:                   "",
		`nonsense`:           "",
		`[]`:                 "",
		`null`:               "",
		`{"text":"hidden"}`:  "",
		`{"error_code":404}`: "404",
		`{"error_code":403,"error_type":"ORIGIN_INVALID_SIGNATURE","error_description":"d","title":"a","detail":"b"}`: "403, ORIGIN_INVALID_SIGNATURE",
		`{"error_code":"CODE"}`:               "CODE",
		`{"title":{"x":"y"},"error_code":""}`: "",
		// What may repeat something that was sent.
		`{"error_type":"call +79161234567"}`:                        "",
		`{"error_code":"79161234567"}`:                              "",
		`{"error_type":"eyJhbGciOiJIUzI1NiJ9.e30.abc"}`:             "",
		`{"error_type":"2a2593df86235c44943a40ce35409d18bda5778c"}`: "",
		`{"error_type":"` + strings.Repeat("A", 101) + `"}`:         "",
	} {
		got := ownWords(ownFields([]byte(body)))
		assert.Equal(t, want, got, body)
	}
}

func TestInvalidScope(t *testing.T) {
	for body, want := range map[string]bool{
		`{"title":"Forbidden","status":403,"detail":"Invalid scope"}`: true,
		`{"title":"Invalid scope","status":403}`:                      true,
		`{"hint":"The token has an invalid scope."}`:                  true,
		`{"error_type":"INVALID_SCOPE"}`:                              true,
		`{"error_code":403,"error_description":"Invalid Scope"}`:      true,
		`{"title":"Forbidden","detail":"no right","scope":"x"}`:       false,
		`{"text":"invalid scope"}`:                                    false,
		`Invalid scope`:                                               false,
		``:                                                            false,
	} {
		fields := ownFields([]byte(body))
		assert.Equal(t, want, fields.invalidScope(), body)
		assert.NotContains(t, strings.ToLower(ownWords(fields)), "invalid scope", "prose is not told")
	}
}
