// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// readableLocation takes a Location away that can't be read: http.Client would
// return it as text in an error, before it asks CheckRedirect.
type readableLocation struct{ next http.RoundTripper }

func (t readableLocation) RoundTrip(req *http.Request) (*http.Response, error) {
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	resp, err := next.RoundTrip(req)
	if err == nil && resp.Header.Get("Location") != "" {
		if _, parseErr := resp.Location(); parseErr != nil {
			resp.Header.Del("Location")
		}
	}
	return resp, err
}

// CloseIdleConnections is for http.Client's method of that name.
func (t readableLocation) CloseIdleConnections() {
	if closer, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// redirectError says where an answer points to as far as that is known from the request: a
// Location can carry anything, its host too.
func redirectError(urlField string, asked *url.URL, sent carried, resp *http.Response) error {
	to, advice := "nowhere", "set "+urlField+" to the API's own address"
	switch location, err := resp.Location(); {
	case err != nil || location.Host == "":
	case location.Scheme == asked.Scheme && strings.EqualFold(location.Host, asked.Host):
		to, advice = "another page there", "check "+urlField
	case related(location, asked, sent):
		base := url.URL{Scheme: location.Scheme, Host: strings.ToLower(location.Host)}
		to, advice = base.String(), "if that is the API, set "+urlField+" to it"
	default:
		to, advice = "another host", advice+", and check proxy_url"
	}
	return fmt.Errorf("asking %s: status %d points to %s: %s: %w", asked.Host, resp.StatusCode, to, advice, ErrRedirect)
}

// related reports whether a URL may be named: it has the host that was asked with another
// scheme or port, or a short name under the same domain.
func related(location, asked *url.URL, sent carried) bool {
	if location.Scheme != "http" && location.Scheme != "https" {
		return false
	}
	if port := location.Port(); port != "" {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false
		}
	}
	host, known := strings.ToLower(location.Hostname()), strings.ToLower(asked.Hostname())
	if host == known {
		return true
	}
	labels := strings.Split(known, ".")
	if len(labels) < 2 || net.ParseIP(known) != nil {
		return false
	}
	name, under := strings.CutSuffix(host, "."+strings.Join(labels[len(labels)-2:], "."))
	return under && isShortName(name) && !sent.has(name)
}

// isShortName reports whether a text is one or two labels of a host's name that hold no
// phone number.
func isShortName(name string) bool {
	return len(name) <= 40 && strings.Count(name, ".") <= 1 && !hasNumber(name) &&
		!strings.ContainsFunc(name, func(r rune) bool { return !isAlnum(r) && r != '-' && r != '.' })
}

// hasNumber reports whether a text has as many digits as the shortest phone numbers.
func hasNumber(s string) bool {
	digits := 0
	for _, r := range s {
		if r >= '0' && r <= '9' {
			digits++
		}
	}
	return digits >= 7
}
