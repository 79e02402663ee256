// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"time"
)

// DateWindow is how far the Date of a request may be from the server's clock,
// in either direction.
const DateWindow = 15 * time.Minute

// maxSignedBody bounds the body of a signed request. The calls served here carry
// none, so that the bound only keeps a stray upload out of memory.
const maxSignedBody = 1 << 20

// Reasons for a 403, as the ledger counts them. The answer itself is as silent
// as the vendor's, who has one for all (chats-api.md, row "403").
const (
	refusedScope       = "scope"
	refusedContentType = "content_type"
	refusedContentMD5  = "content_md5"
	refusedDateFormat  = "date_format"
	refusedDateWindow  = "date_window"
	refusedSignature   = "signature"
	refusedForeign     = "foreign"
)

// sign returns the lower-case hex HMAC-SHA1 of the five parts.
func sign(secret, method, contentMD5, contentType, date, path string) string {
	mac := hmac.New(sha1.New, []byte(secret))
	io.WriteString(mac, method+"\n"+contentMD5+"\n"+contentType+"\n"+date+"\n"+path)
	return hex.EncodeToString(mac.Sum(nil))
}

// refusal returns why the vendor would answer this request with 403, or "".
//
// Documented (chats-api.md, "The signature"): the parts and their order, the
// lower-case hex, the MD5 of an empty body, +0000, the 15 minutes. Assumed: that
// the window reaches into the future as far as into the past, that its ends are
// inside, and that every header fault is a 403 rather than a 400. The weekday is
// not checked, since the vendor's own example (seed, "Date") has a wrong one.
func (s *Server) refusal(r *http.Request, now time.Time) string {
	contentType := r.Header.Get("Content-Type")
	if contentType != "application/json" {
		return refusedContentType
	}
	date := r.Header.Get("Date")
	at, err := time.Parse(time.RFC1123Z, date)
	if err != nil || !strings.HasSuffix(date, " +0000") {
		return refusedDateFormat
	}
	// A Date has whole seconds, so that a fraction of the clock must not decide.
	if now.Truncate(time.Second).Sub(at).Abs() > DateWindow {
		return refusedDateWindow
	}
	contentMD5 := r.Header.Get("Content-MD5")
	if contentMD5 != bodyMD5(r) {
		return refusedContentMD5
	}
	want := sign(s.config.Secret, r.Method, contentMD5, contentType, date, receivedPath(r))
	if subtle.ConstantTimeCompare([]byte(want), []byte(r.Header.Get("X-Signature"))) != 1 {
		return refusedSignature
	}
	return ""
}

// emptyMD5 spares the usual GET the hashing.
const emptyMD5 = "d41d8cd98f00b204e9800998ecf8427e"

// bodyMD5 returns "" for a body that can't be read to its end or is too long.
func bodyMD5(r *http.Request) string {
	if r.Body == nil || r.Body == http.NoBody {
		return emptyMD5
	}
	sum := md5.New()
	n, err := io.Copy(sum, io.LimitReader(r.Body, maxSignedBody+1))
	if err != nil || n > maxSignedBody {
		return ""
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// receivedPath returns the path as the client sent it: escaped, without the
// query. A decoded and re-encoded one could differ from what was signed.
func receivedPath(r *http.Request) string {
	if path, _, _ := strings.Cut(r.RequestURI, "?"); strings.HasPrefix(path, "/") {
		return path
	}
	return r.URL.EscapedPath()
}
