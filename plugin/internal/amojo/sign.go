// SPDX-License-Identifier: Apache-2.0

package amojo

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"time"
)

const (
	// contentType is required on a GET too (chats-api.md, The signature).
	contentType = "application/json"

	// emptyMD5 is the Content-MD5 of a request without a body.
	emptyMD5 = "d41d8cd98f00b204e9800998ecf8427e"
)

// Sign returns the X-Signature of a request: the lower-case hex HMAC-SHA1, keyed
// with the secret's text as it is, of the other arguments joined by "\n"
// (chats-api.md, The signature).
//
// contentMD5, contentType and date are the values of those headers, "" for a
// header that is not sent. path is the escaped path as it is sent, without host
// and query.
func Sign(secret string, method, contentMD5, contentType, date, path string) string {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(method + "\n" + contentMD5 + "\n" + contentType + "\n" + date + "\n" + path))
	return hex.EncodeToString(mac.Sum(nil))
}

// dateHeader is RFC 2822 with +0000, unlike Go's http.TimeFormat with GMT.
func dateHeader(t time.Time) string {
	return t.UTC().Format(time.RFC1123Z)
}
