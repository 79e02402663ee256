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
	for _, said := range []int64{-1, 0, 3, 10, 11, 100, maxHint + 1} {
		for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
			body, err := readBody(&http.Response{ContentLength: said, Body: io.NopCloser(r)}, 10<<20)
			require.NoError(t, err)
			assert.Equal(t, text, string(body))
		}
		_, err := readBody(&http.Response{ContentLength: said, Body: io.NopCloser(strings.NewReader(text))}, 9)
		assert.ErrorIs(t, err, ErrTooLarge, "said %d", said)
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
		`{"error_type":"t","error_code":"c","error_description":"d","title":"a","detail":"b"}`: "c, t, a, d, b",
		`{"title":{"x":"y"},"detail":null,"error_code":""}`:                                    "",
		"{\"detail\":\"a\\n\\u001b[31m b\\u202e\\u0000\"}":                                     "a [31m b",
		`{"detail":"` + strings.Repeat("ж", 400) + `"}`:                                        strings.Repeat("ж", 148) + "…",
		// A signature, a phone number; but not a UUID, not even one with digits at the end.
		`{"detail":"bad 2a2593df86235c44943a40ce35409d18bda5778c for +79161234567"}`: "bad [left out] for +[left out]",
		`{"detail":"no chat 30477717-9f3c-4d3f-8101-603271614748, id 1234567"}`:      "no chat 30477717-9f3c-4d3f-8101-603271614748, id 1234567",
	} {
		got := ownWords(ownFields([]byte(body)))
		assert.Equal(t, want, got, body)
		assert.LessOrEqual(t, len(got), maxWords)
	}
}
