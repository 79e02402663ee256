// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"fmt"
	"net/url"
)

// ParseURL reads the address of an API: http or https, a host, perhaps a path,
// nothing else. field is what the user calls that setting, want says what it
// should be, and auth what requests carry instead of a user in the URL; the
// errors are made of these, and repeat nothing of a URL that may hold a password.
func ParseURL(field, s, want, auth string) (*url.URL, error) {
	base, err := url.Parse(s)
	switch {
	case s == "":
		return nil, fmt.Errorf("%s: it is empty: %s", field, want)
	case err != nil:
		return nil, fmt.Errorf("%s: it is not a URL: %s", field, want)
	case base.Scheme != "http" && base.Scheme != "https":
		return nil, fmt.Errorf("%s: its scheme is neither http nor https: %s", field, want)
	case base.Hostname() == "":
		return nil, fmt.Errorf("%s: it has no host: %s", field, want)
	case base.User != nil:
		return nil, fmt.Errorf("%s: it names a user: remove everything up to the @, requests %s", field, auth)
	case base.RawQuery != "" || base.ForceQuery || base.Fragment != "":
		return nil, fmt.Errorf("%s: it has a query or a fragment: remove the ? or # and what follows", field)
	}
	return base, nil
}
