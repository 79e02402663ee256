// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// slowAnswer is from when on answers are said to be slow.
const slowAnswer = time.Second

// checkLimits judges what all answers of an API had.
func (c *checker) checkLimits(a *api) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.took) == 0 {
		return
	}
	c.section = "Clock and limits: " + a.title
	c.judgeClock(a)
	if took := median(a.took); took >= cmp.Or(c.conf.slow, slowAnswer) {
		c.add(a.name+".speed", Warning, "slow", say("the median answer takes %s", roundTime(took)), "raise parallel_chats, so that requests_per_second is used; see that timeout is long enough")
	} else {
		c.ok(a.name+".speed", "fast", "the median answer takes %s", roundTime(took))
	}
	c.judgeHeaders(a)
	if a.tooMany == 0 {
		c.ok(a.name+".throttled", "no", "%s at %s, and none was too much", plural(a.requests, "request"), rate(c.conf.RequestsPerSecond))
		return
	}
	hint := "nothing said how long to wait"
	word := "no_hint"
	if where := slices.Sorted(maps.Keys(a.hinted)); len(where) > 0 {
		hint, word = "how long to wait was said in the "+strings.Join(where, " and "), strings.Join(where, "+")
	}
	c.add(a.name+".throttled", Warning, word, say("%d of %s were answered with 429 at %s; %s", a.tooMany, plural(a.requests, "request"), rate(c.conf.RequestsPerSecond), hint),
		"lower requests_per_second, or share the limit with whoever else asks")
}

func rate(perSecond float64) string {
	if perSecond == 0 {
		return "no limit of our own"
	}
	return fmt.Sprintf("%g a second", perSecond)
}

// agree is how far clocks may differ until that is said.
const agree = 10 * time.Second

func (c *checker) judgeClock(a *api) {
	id := a.name + ".clock"
	skew := median(a.skews).Round(time.Second)
	way := "ahead of"
	if skew < 0 {
		way = "behind"
	}
	switch {
	case a.dateOff:
		c.add(id, Warning, "date_off", say("the Date of answers is %s %s this machine's clock, but what is signed by the latter is accepted: the Date is wrong, not the clock", roundTime(skew.Abs()), way), allowed)
	case a.aged > 0:
		c.add(id, Warning, "cached_date", say("%d of %s came out of a cache, with its Date", a.aged, plural(len(a.took), "answer")), "check proxy_url and "+a.field+": nothing should cache these answers")
	case len(a.skews) == 0:
		c.add(id, Warning, "no_date", say("no answer has a Date, so the clocks can't be compared"), "see that this machine's clock is right")
	case a.noDate > 0:
		c.add(id, Warning, "some_without_date", say("%d of %s have no Date", a.noDate, plural(len(a.took), "answer")), allowed)
	case skew.Abs() <= agree:
		c.ok(id, "agrees", "this machine's clock and the server's agree")
	default:
		c.add(id, Warning, "differs", say("the server's clock is %s %s this machine's", roundTime(skew.Abs()), way), "set this machine's clock; signatures and checkpoints allow for it")
	}
}

func (c *checker) judgeHeaders(a *api) {
	id := a.name + ".limit_headers"
	var headers []string
	for _, name := range slices.Sorted(maps.Keys(a.limits)) {
		headers = append(headers, name+": "+a.limits[name])
	}
	if n := len(a.others); n > 0 {
		headers = append(headers, plural(n, "header")+" of another name that may be about limits")
	}
	if len(headers) == 0 {
		c.ok(id, "none", "no answer has a header about limits")
		return
	}
	c.ok(id, "some", "answers have %s", strings.Join(headers, ", "))
}

func (c *checker) judgeProxy(a *api) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.requests == 0:
	case a.proxy != nil:
		c.ok(a.name+".proxy", "used", "through the proxy %s", aHost(a.proxy.Host))
	default:
		c.ok(a.name+".proxy", "none", "without a proxy")
	}
}

// certificateEnds is how long before its end a certificate is spoken of.
const certificateEnds = 7 * 24 * time.Hour

func (c *checker) judgeTLS(a *api) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := a.name + ".tls"
	if a.tls == nil {
		c.add(id, Warning, "none", say("requests are not encrypted: whoever is on the way can read them"), "use https:// in "+a.field)
		return
	}
	var left time.Duration
	if len(a.tls.PeerCertificates) > 0 {
		left = time.Until(a.tls.PeerCertificates[0].NotAfter)
	}
	switch {
	case c.conf.TLS != nil && c.conf.TLS.InsecureSkipVerify:
		c.add(id, Warning, "not_verified", say("%s, and the server's certificate is not looked at", tls.VersionName(a.tls.Version)), "set tls.skip_cert_verify to false, and name the authority in tls.root_cas")
	case left > 0 && left < certificateEnds:
		c.ok(id, "ends_soon", "%s; the server's certificate ends in %s", tls.VersionName(a.tls.Version), roundTime(left))
	default:
		c.ok(id, "verified", "%s, and the server's certificate is trusted", tls.VersionName(a.tls.Version))
	}
}
