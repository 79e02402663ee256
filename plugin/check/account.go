// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"errors"

	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// checkAccount asks the CRM API.
func (c *checker) checkAccount(ctx context.Context) {
	a := c.account
	c.section = "Token"
	c.checkToken()
	var account crm.Account
	_, err := c.ask(ctx, a, func(ctx context.Context) (err error) {
		account, err = c.crm.Account(ctx)
		return err
	})
	c.section = "Connection to the account"
	if !c.checkConnection(a, err) {
		return
	}
	c.section = "Account"
	c.judgeAccount(account, err)
	if wordOf(err) == tokenRefused {
		return // all others would be refused alike
	}
	c.section = "List of talks"
	c.checkTalks(ctx)
	c.section = "Chats of the integration"
	c.checkContactChats(ctx)
	c.section = "Event feed"
	c.checkFeed(ctx)
	c.section = "Messages of a talk"
	c.checkMessages(ctx)
	c.section = "Channels"
	c.readFeed(ctx)
	c.judgeReach()
	c.checkNamed(ctx)
	c.judgeOrigins()
}

// checkConnection judges what is between here and an API, by the first call. It returns
// false if nothing gets through.
func (c *checker) checkConnection(a *api, err error) bool {
	c.judgeProxy(a)
	if c.stopped {
		return false
	}
	switch word := wordOf(err); {
	case err == nil:
	case errors.Is(err, errTimeUp) && a.requests > 0:
		c.add(a.name+".address", Error, timedOut, say("no answer came before time was up"), "check "+a.field+", proxy_url and the network, or raise within")
		return false
	case errors.Is(err, errTimeUp):
		c.failed(a.name+".address", err)
		return false
	case word == noAnswer, word == timedOut, word == redirected, word == brokenAnswer, word == tooLarge, word == serverError, word == otherTrouble:
		// The client's own words have what to do.
		c.addSaid(a.name+".address", Error, word, troubleOf(err), said{public: "check " + a.field + ", proxy_url, tls and the network"})
		return false
	}
	c.ok(a.name+".address", "reached", "%s answers", aHost(c.host(a)))
	c.judgeTLS(a)
	return true
}

func (c *checker) judgeAccount(account crm.Account, err error) {
	const id = "account.answer"
	switch {
	case err != nil:
		c.failed(id, err)
	case !c.plain(account.AmojoID):
		c.add(id, Warning, "no_amojo_id", say("the account does not tell its amojo_id, so no scope_id can be made"), "take scope_id from the answer of the channel's connect call")
	default:
		c.known.amojoID = account.AmojoID
		c.ok(id, "answers", "the account's amojo_id is %s", anID(account.AmojoID))
	}
}
