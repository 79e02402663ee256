// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/amojo"
	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// allowed is what to do about what the inputs cope with.
const allowed = "nothing: the inputs allow for it"

// Run asks, and returns what was found. It ends early where the API refuses this address,
// asks for a long rest, time is up, or ctx ends, and says so. An error is one of
// [Config.Validate].
func Run(ctx context.Context, conf Config) (*Report, error) {
	if err := conf.Validate(); err != nil {
		return nil, err
	}
	c := &checker{conf: conf, report: &Report{}, known: known{held: map[string]int{}}}
	began := time.Now()
	call, transport, err := c.caller()
	if err != nil {
		return nil, err
	}
	defer transport.CloseIdleConnections()
	within := cmp.Or(conf.Within, defaultWithin)
	ctx, cancel := context.WithDeadlineCause(ctx, began.Add(within), errTimeUp)
	defer cancel()
	if conf.account() {
		c.account = newAPI("account", "Account", "api_url")
		if c.crm, err = conf.crmClient(call("api_url")); err != nil {
			return nil, err
		}
		share := within
		if conf.channel() {
			share = within * 2 / 3
		}
		accountCtx, cancel := context.WithDeadlineCause(ctx, began.Add(share), errTimeUp)
		c.checkAccount(accountCtx)
		cancel()
	}
	if conf.channel() {
		c.channel = newAPI("channel", "Channel", "base_url")
		c.checkChannel(ctx, call("base_url"))
	}
	for _, a := range []*api{c.account, c.channel} {
		if a != nil {
			c.checkLimits(a)
			c.report.Requests += a.requests
		}
	}
	c.estimate()
	c.report.Seconds = time.Since(began).Round(100 * time.Millisecond).Seconds()
	return c.report, nil
}

// checker is one run. It asks one thing after the other.
type checker struct {
	conf    Config
	report  *Report
	section string

	account, channel *api // nil: not checked
	crm              *crm.Client
	own              *amojo.Client
	stopped          bool // nothing more is asked
	late             bool // something was not checked, because time was up

	known known
}

// known is what was learnt that later questions and the estimate rest on.
type known struct {
	amojoID string
	held    map[string]int // entries of a page, by the id of the list, where that was seen

	talks     map[string]crm.Entry // by id, those that were listed
	order     []string             // their ids, as listed
	listWhole bool                 // the list's end was seen
	listShort bool                 // it lacks talks that the feed names
	origins   map[string]int       // talks of each channel, of those that were listed
	highest   int64                // talk id

	announced  map[string]announcement // by message id, those events that were seen
	feedTalks  map[string]int          // events of each talk, of those that were seen; nil: the feed did not answer
	feedPages  int                     // of the feed; 0: not known
	feedWhole  bool                    // every event was seen
	feedSilent bool                    // the feed lacks talks that have messages
	feedFrom   int64                   // from this second on every event was seen; 0: none were
	events     int                     // in the whole feed
	eventsMore bool                    // and more

	messages bool // those of talks may be read
	inTalk   int  // messages in the one that was asked for

	own       []string // chats that the integration may see
	chats     int      // of the own channel that answer and have messages
	inChats   int      // messages in those, at least
	chatsLong int      // those of more than a page
	measured  bool     // the longest was
	chatLong  bool     // the longest has more than was seen
	chatsMore int      // that were given and not asked for
}

// caller returns what makes callers that share a limiter, and their transport.
func (c *checker) caller() (func(field string) *apicall.Caller, *http.Transport, error) {
	transport, err := apicall.NewTransport(c.conf.ProxyURL, c.conf.TLS)
	if err != nil {
		return nil, nil, err
	}
	limiter := apicall.NewLimiter(apicall.LimiterConfig{RequestsPerSecond: c.conf.RequestsPerSecond, Shared: c.conf.SharedLimit})
	return func(field string) *apicall.Caller {
		return apicall.New(apicall.Config{
			HTTP: &http.Client{Transport: recorder{transport}}, Limiter: limiter, Timeout: cmp.Or(c.conf.Timeout, defaultTimeout), URLField: field,
			MaxAttempts: mostAttempts,
			Backoff:     apicall.Backoff{InitialInterval: c.conf.firstRetry, MaxElapsedTime: cmp.Or(c.conf.patience, mostPatience)},
			Observe: func(a apicall.Attempt) {
				if a.SlowedTo > 0 {
					c.asked().slowed = a.SlowedTo
				}
			},
		})
	}, transport, nil
}

// asked is the API that is being asked.
func (c *checker) asked() *api {
	if c.channel != nil {
		return c.channel
	}
	return c.account
}

// ask makes one call, unless nothing more is to be asked.
func (c *checker) ask(ctx context.Context, a *api, call func(ctx context.Context) error) (*exchange, error) {
	if c.stopped {
		return &exchange{api: a}, errStopped
	}
	watched, x := a.watch(ctx)
	err := call(watched)
	if err == nil {
		return x, nil
	}
	status, _ := errors.AsType[*apicall.StatusError](err)
	switch word := wordOf(err); {
	case word == notAsked && errors.Is(context.Cause(ctx), errTimeUp):
		return x, errTimeUp
	case word == notAsked:
		c.stop(a, notAsked, say("The check was interrupted, so what follows was not asked"), "")
	case word == addressBlock:
		c.stop(a, addressBlock, troubleOf(err), "wait an hour before you try again: going on to ask makes it worse")
	case word == throttled, status != nil && status.RetryAfter > mostPatience: // nothing else would be let through either
		c.stop(a, word, troubleOf(err), "wait as long as the API asks, and lower requests_per_second")
	}
	return x, err
}

// stop ends all asking.
func (c *checker) stop(a *api, answer string, text said, do string) {
	if !c.stopped {
		c.stopped = true
		c.add(a.name+".stopped", Error, answer, text, do)
	}
}

// add writes a line.
func (c *checker) add(id string, status Status, answer string, text said, do string) {
	c.addSaid(id, status, answer, text, say("%s", do))
}

func (c *checker) addSaid(id string, status Status, answer string, text, do said) {
	f := Finding{
		Section: c.section, ID: id, Status: status, Answer: answer,
		Text: text.full, public: text.public, Do: do.full, publicDo: do.public,
	}
	c.report.Findings = append(c.report.Findings, f)
	if c.conf.Each != nil {
		c.conf.Each(f)
	}
}

func (c *checker) ok(id, answer, format string, args ...any) {
	c.add(id, OK, answer, say(format, args...), "")
}

func (c *checker) unseen(id, format string, args ...any) {
	c.add(id, OK, NotSeen, say(whatOf(id)+" not seen: "+format, args...), "")
}

// plain reports whether a text of an answer may be shown as an id or a name.
func (c *checker) plain(text string) bool {
	return apicall.PlainID(text) && !apicall.Repeats(text, c.account.token, c.conf.ChannelSecret)
}

// failed writes the line of a call that failed. What is only not asked any more has none,
// unless time was up.
func (c *checker) failed(id string, err error) { c.failedAs(Error, id, err) }

// failedAs does so for a call that some reading can do without.
func (c *checker) failedAs(status Status, id string, err error) {
	switch word := wordOf(err); {
	case c.stopped:
	case errors.Is(err, errTimeUp):
		do := ""
		if !c.late {
			c.late, do = true, "raise within, to 5m for example"
		}
		c.add(id, Warning, notAsked, say(whatOf(id)+" not checked: time was up"), do)
	case word != notAsked:
		c.add(id, status, word, troubleOf(err), "")
	}
}

// whatOf is what the question with an id asks for, in words.
func whatOf(id string) string {
	_, what, _ := strings.Cut(id, ".")
	return strings.ReplaceAll(what, "_", " ")
}
