// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// maxCause bounds the text of a cause, in bytes.
const maxCause = 300

// cause is an error of the transport whose text repeats nothing that the other
// side sent: net/http quotes a head that it can't read and the debug data of a
// GOAWAY, and that may be anything, a piece of an earlier body too; crypto/x509 lists
// the names that a certificate is for.
type cause struct{ err error }

func (c *cause) Error() string {
	if named, ok := errors.AsType[x509.HostnameError](c.err); ok {
		return "x509: the certificate does not name " + clean(named.Host, maxCause)
	}
	text := c.err.Error()
	if i := strings.Index(text, "malformed "); i >= 0 {
		if end := strings.IndexAny(text[i:], `:"`); end >= 0 {
			text = text[:i+end]
		}
	}
	// What is quoted is left out; what has a quote without an end is cut there.
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, `"`)
		out.WriteString(before)
		if !found {
			break
		}
		out.WriteString(`"…"`)
		for {
			i := strings.IndexAny(rest, `"\`)
			if i < 0 {
				rest = ""
				break
			}
			if rest[i] == '"' {
				rest = rest[i+1:]
				break
			}
			rest = rest[min(i+2, len(rest)):]
		}
		text = rest
	}
	return clean(redact(out.String()), maxCause)
}

func (c *cause) Unwrap() error { return c.err }

// proxyError is a proxy's answer that is not 200 to the question for a connection.
type proxyError struct{ status int }

func (e proxyError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("the proxy answered with status %d %s", e.status, http.StatusText(e.status)))
}

// advice says what to check when there was no answer. The texts of net/http are
// compared where it has no type for an error.
func (e *NoAnswerError) advice() string {
	field := urlField(e.urlField)
	var (
		dns      *net.DNSError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		verify   *tls.CertificateVerificationError
		record   tls.RecordHeaderError
		proxy    proxyError
	)
	text := e.Err.Error()
	switch {
	case errors.As(e.Err, &dns) && dns.IsNotFound:
		return "there is no such host, so check the name in " + field + ", proxy_url and the network"
	case errors.As(e.Err, &invalid) && invalid.Reason == x509.Expired:
		return "the server's certificate has expired or is not valid yet: check this machine's clock, " + field + " and proxy_url"
	case errors.As(e.Err, &hostname):
		return "the server's certificate is for another host: check " + field + " and proxy_url"
	case errors.As(e.Err, &unknown), errors.As(e.Err, &verify):
		return "the server's certificate is not trusted: check " + field +
			" and proxy_url, and if something before the API has a certificate of its own, add its authority to tls.root_cas"
	case strings.Contains(text, "server gave HTTP response to HTTPS client"), errors.As(e.Err, &record):
		return "what listens there does not speak TLS: check the scheme and the port in " + field + ", https:// or http://, and proxy_url"
	case strings.Contains(text, "malformed HTTP"):
		return "what listens there does not speak HTTP: check the scheme and the port in " + field + ", https:// or http://, and proxy_url"
	case errors.As(e.Err, &proxy) && proxy.status == http.StatusProxyAuthRequired:
		return "the proxy wants a user and password: put them into proxy_url"
	case errors.As(e.Err, &proxy), strings.Contains(text, "proxyconnect"), strings.Contains(text, "socks connect"):
		return "the proxy can't be used: check " + field + ", proxy_url and the network"
	}
	return "check " + field + ", proxy_url and the network"
}
