// SPDX-License-Identifier: Apache-2.0

package crm

import (
	"bytes"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/jsonscan"
)

// Next is what a page says of the one behind it. It need not be true: a link may be
// missing though more follows, or lead nowhere.
type Next struct {
	// Is is whether there is a link at all.
	Is bool
	// URL is where it leads, as the API wrote it; "" without one, and for one of more
	// than 4 KiB. Nobody follows it: it may lead to another host.
	URL string
}

// Page is the parameter page of the link; 0 without one.
func (n Next) Page() int {
	u, err := url.Parse(n.URL)
	if err != nil {
		return 0
	}
	page, err := strconv.Atoi(u.Query().Get("page"))
	if err != nil || page < 1 {
		return 0
	}
	return page
}

// hal reads a page of a list in a single pass.
type hal struct {
	jsonscan.Scanner
	list    string // the name in _embedded
	reset   func() // forgets the entries so far: of equal keys the last one counts
	entry   func(start, depth int) (end int)
	next    Next
	rows    int
	tooMany bool
	listed  fault
	other   bool // it has a member that is not HAL's, or one of HAL's that is something else
}

// noListError is of a body that is a page in every way but for its list.
type noListError struct{ error }

func (e noListError) Unwrap() error { return e.error }

// fault is what is wrong with the place of a list.
type fault int

const (
	noEmbedded fault = iota
	noList
	noFault
)

// read reads a whole body, which is an error under the same conditions as for
// [DecodePage], with the same errors.
func (d *hal) read(body []byte) error {
	d.Scanner = jsonscan.New(bytes.TrimPrefix(body, []byte("\ufeff")))
	i := d.Space(0)
	if i == len(d.S) {
		return broken(body, "it is empty")
	}
	end := -1
	if strings.HasPrefix(d.S[i:], "null") {
		end = d.Value(i, 0)
	} else if d.S[i] == '{' {
		end = d.body(i)
	}
	switch {
	case d.tooMany:
		return fmt.Errorf("decoding a page of %d bytes: it has more than %d rows, and no more than %d were asked for: check api_url and proxy_url: %w",
			len(body), MaxRows, MaxLimit, apicall.ErrTooLarge)
	case end < 0 || d.Space(end) < len(d.S):
		return broken(body, "it is not a JSON object, or breaks off")
	case d.listed == noEmbedded:
		return d.unlisted(body, "want an object _embedded")
	case d.listed == noList:
		return d.unlisted(body, "want an array _embedded."+d.list)
	}
	return nil
}

func (d *hal) unlisted(body []byte, what string) error {
	err := broken(body, what)
	if d.other || d.next != (Next{}) {
		return err
	}
	return noListError{err}
}

func broken(body []byte, what string) error {
	return fmt.Errorf("decoding a page of %d bytes: %s: %w", len(body), what, apicall.ErrBrokenBody)
}

func (d *hal) body(i int) int {
	key, at, more := d.Member(i+1, true)
	for ; more; key, at, more = d.Member(i, false) {
		switch key {
		case "_embedded":
			i = d.embedded(at)
		case "_links":
			d.next = Next{}
			i = d.links(at)
		default:
			d.other = d.other || !strings.HasPrefix(key, "_")
			i = d.Value(at, 1)
		}
		if i < 0 {
			return -1
		}
	}
	return at
}

func (d *hal) forget(now fault) {
	d.reset()
	d.rows, d.listed = 0, now
}

func (d *hal) embedded(i int) int {
	if i == len(d.S) || d.S[i] != '{' {
		end := d.Value(i, 1)
		d.forget(noEmbedded)
		switch {
		case end < 0:
		case emptyArray(d.B[i:end]):
			d.listed = noFault // a PHP server writes an empty object as []
		default:
			d.other = d.other || !strings.HasPrefix(d.S[i:], "null")
		}
		return end
	}
	d.forget(noList)
	key, at, more := d.Member(i+1, true)
	for ; more; key, at, more = d.Member(i, false) {
		if key == d.list {
			i = d.entries(at)
		} else {
			i = d.Value(at, 2)
		}
		if i < 0 {
			return -1
		}
	}
	return at
}

func emptyArray(raw []byte) bool {
	return len(raw) >= 2 && raw[0] == '[' && len(bytes.TrimSpace(raw[1:len(raw)-1])) == 0
}

func (d *hal) entries(i int) int {
	if i == len(d.S) || d.S[i] != '[' {
		d.forget(noList)
		if strings.HasPrefix(d.S[i:], "null") {
			d.listed = noFault
		} else {
			d.other = true
		}
		return d.Value(i, 2)
	}
	d.forget(noFault)
	return d.Elements(i, func(i int) int {
		if d.rows == MaxRows {
			d.tooMany = true
			return d.Fail(i, "fewer rows")
		}
		d.rows++
		return d.entry(i, 3)
	})
}

// links finds next.href. Links that are not as expected are none.
func (d *hal) links(i int) int {
	return d.object(i, 1, func(key string, at int) int {
		if key != "next" {
			return d.Value(at, 2)
		}
		d.next = Next{}
		return d.object(at, 2, func(key string, at int) int {
			if key != "href" {
				return d.Value(at, 3)
			}
			d.next = Next{}
			if at == len(d.S) || d.S[at] != '"' {
				return d.Value(at, 3)
			}
			end := d.Value(at, 3)
			if end < 0 {
				return -1
			}
			if d.next.Is = end-at > len(`""`); end-at <= maxValue {
				href, _ := d.Text(at, 3)
				d.next.URL = strings.Clone(href) // a link may outlive its page
			}
			return end
		})
	})
}

// object hands the members of an object on; member reads a value and returns its end.
// A value that is none is skipped.
func (d *hal) object(i, depth int, member func(key string, at int) int) int {
	if i == len(d.S) || d.S[i] != '{' {
		return d.Value(i, depth)
	}
	key, at, more := d.Member(i+1, true)
	for ; more; key, at, more = d.Member(i, false) {
		if i = member(key, at); i < 0 {
			return -1
		}
	}
	return at
}
