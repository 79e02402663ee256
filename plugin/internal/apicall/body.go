// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// htmlPage is what a StatusError says of an HTML body.
	htmlPage = "an HTML page"

	// maxErrorType and maxErrorCode bound what is told of an error's fields, in bytes. A
	// phone number is longer.
	maxErrorType = 60
	maxErrorCode = 5

	// maxErrorBody is how much of an error's body is read, in bytes.
	maxErrorBody = 64 << 10

	// maxPiece is how much of a body is read in a piece, in bytes.
	maxPiece = 1 << 20
)

// buffers holds the memory into which bodies are read. What is decoded from a body
// may live long, so it is copied out at its exact size; a buffer of its own, which
// grows, would take three times as much.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// readBody returns the whole body, or what came of it with the error. One byte
// over the limit is read, to tell a body of exactly that length from a longer
// one.
//
// A large one is read in pieces, which take twice its size when they are joined: 16
// MiB can be asked for by an answer of some kilobytes.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	if resp.ContentLength > limit {
		return nil, ErrTooLarge
	}
	body := io.LimitReader(resp.Body, limit+1)
	piece := buffers.Get().(*bytes.Buffer) //nolint:forcetypeassert // nothing else is put in
	defer buffers.Put(piece)
	piece.Reset()
	var pieces [][]byte
	for total := int64(0); ; {
		n, err := piece.ReadFrom(io.LimitReader(body, maxPiece))
		pieces = append(pieces, piece.Bytes())
		total += n
		switch {
		case total > limit:
			return nil, ErrTooLarge
		case err != nil || n < maxPiece:
			return bytes.Join(pieces, nil), err
		}
		piece = bytes.NewBuffer(make([]byte, 0, maxPiece+bytes.MinRead))
	}
}

func newStatusError(host, urlField string, sent carried, resp *http.Response, received time.Time) *StatusError {
	e := &StatusError{Status: resp.StatusCode, Host: host, urlField: urlField}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil && !cached(resp.Header) {
		e.Date = date
	}
	e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), e.Date, received)
	// A body that breaks off does not make the status less true.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	e.Foreign = len(body) > 0 && body[0] != '{' && body[0] != '['
	if isHTML(resp.Header, body) {
		e.HTML, e.Body = true, htmlPage
		return e
	}
	fields := ownFields(body)
	for _, field := range []*scalar{&fields.ErrorCode, &fields.ErrorType, &fields.TraceID} {
		if sent.has(string(*field)) {
			*field = ""
		}
	}
	e.Body = ownWords(fields)
	e.ErrorType = code(string(fields.ErrorType))
	e.TraceID = traceID(string(fields.TraceID))
	e.InvalidScope = fields.invalidScope()
	e.RetryAfter = max(e.RetryAfter, retrySeconds(string(fields.RetryAfter)))
	return e
}

// cached reports if an answer came out of a cache (RFC 9111, 5.1).
func cached(header http.Header) bool {
	age := header.Get("Age")
	return age != "" && strings.Trim(age, " 0") != ""
}

func isHTML(header http.Header, body []byte) bool {
	// An empty body is none, whatever its type: the API sends one with a 403.
	if body = bytes.TrimSpace(body); len(body) == 0 || body[0] != '<' {
		return false
	}
	if strings.HasPrefix(strings.ToLower(header.Get("Content-Type")), "text/html") {
		return true
	}
	start := bytes.ToLower(body[:min(len(body), 64)])
	return bytes.HasPrefix(start, []byte("<!doctype html")) || bytes.HasPrefix(start, []byte("<html"))
}

// errorFields are those of a JSON body of which something is told. Prose is not: it may
// repeat whatever was sent, a token or a message's text too. Seen by clients of the Chats API:
// error_code, error_type, trace_id (chats-api.md, The history call); retry_after is
// the vendor's addition to RFC 9457.
type errorFields struct {
	ErrorCode  scalar `json:"error_code"`
	ErrorType  scalar `json:"error_type"`
	TraceID    scalar `json:"trace_id"`
	RetryAfter scalar `json:"retry_after"`

	// Looked through for known words, and told of nothing else.
	Title       scalar `json:"title"`
	Detail      scalar `json:"detail"`
	Hint        scalar `json:"hint"`
	Description scalar `json:"error_description"`
}

// invalidScope looks in every field that may have the words: which one does is not
// documented.
func (f errorFields) invalidScope() bool {
	for _, s := range []scalar{f.Title, f.Detail, f.Hint, f.Description, f.ErrorType} {
		if strings.Contains(strings.ReplaceAll(strings.ToLower(string(s)), "_", " "), "invalid scope") {
			return true
		}
	}
	return false
}

func ownFields(body []byte) (f errorFields) {
	_ = json.Unmarshal(body, &f) // what is no JSON object has none
	return f
}

// scalar is a JSON string, or a number as it is written; anything else is "".
type scalar string

// UnmarshalJSON never fails.
func (s *scalar) UnmarshalJSON(b []byte) error {
	*s = ""
	switch {
	case len(b) > 0 && b[0] == '"':
		var text string
		if json.Unmarshal(b, &text) == nil {
			*s = scalar(text)
		}
	case len(b) > 0 && (b[0] == '-' || b[0] >= '0' && b[0] <= '9'):
		*s = scalar(b)
	}
	return nil
}

// ownWords is what an API says of an error.
func ownWords(fields errorFields) string {
	var words []string
	for _, field := range []scalar{fields.ErrorCode, fields.ErrorType} {
		if s := code(string(field)); s != "" {
			words = append(words, s)
		}
	}
	return strings.Join(words, ", ")
}

// code accepts what looks like an error's number or its name, as ORIGIN_NOT_REGISTERED,
// and returns "" for anything else.
func code(s string) string {
	name, number := len(s) <= maxErrorType, len(s) <= maxErrorCode
	for _, r := range s {
		name = name && (r >= 'A' && r <= 'Z' || r == '_')
		number = number && r >= '0' && r <= '9'
	}
	if !name && !number {
		return ""
	}
	return s
}

// traceForm is a UUID, or 16 or 32 hex digits as in B3 and W3C Trace Context: the API's own form
// is not documented. A signature and a channel's secret are longer.
var traceForm = regexp.MustCompile(`^(?i:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16}|[0-9a-f]{32})$`)

// aPhone is what a phone number has, and few ids do.
var aPhone = regexp.MustCompile(`\d{10}`)

// traceID returns what has the form of one, and "" for anything else.
func traceID(s string) string {
	if !traceForm.MatchString(s) || aPhone.MatchString(s) {
		return ""
	}
	return s
}

// knownEncoding names an encoding only if it is one that servers use.
func knownEncoding(s string) string {
	switch s = strings.ToLower(strings.TrimSpace(s)); s {
	case "gzip", "x-gzip", "br", "deflate", "compress", "zstd":
		return s
	}
	return "one that is not known"
}

// clean makes foreign text safe for one line of a log: no control or invisible
// formatting characters, valid UTF-8, at most limit bytes.
func clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r) || r == utf8.RuneError:
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= limit {
		return s
	}
	cut := limit - len("…")
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// redact leaves out what may be a signature or a token (32 or more hex digits)
// or a phone number (10 or more digits), should an error repeat one. The parts
// of a UUID are shorter, but for its last, which follows a dash.
func redact(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		end, hex, digits := i, true, true
		for end < len(s) && isAlnum(rune(s[end])) {
			digits = digits && s[end] >= '0' && s[end] <= '9'
			hex = hex && (s[end] <= '9' || s[end]|0x20 <= 'f')
			end++
		}
		switch n := end - i; {
		case n == 0:
			out.WriteByte(s[i])
			end++
		case hex && n >= 32, digits && n >= 10 && (i == 0 || s[i-1] != '-'):
			out.WriteString("[left out]")
		default:
			out.WriteString(s[i:end])
		}
		i = end
	}
	return out.String()
}

func isAlnum(c rune) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}
